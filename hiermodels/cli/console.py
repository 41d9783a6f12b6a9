"""What the command line prints: tables, lines, and messages in words that can be typed there."""

from __future__ import annotations

import os
import re
import sys
from ast import literal_eval
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .paths import word

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

ENDS = {130: "interrupted", 143: "terminated", 129: "hung up"}
"""What an end from outside is called, by its exit code."""

# How messages speak in Python, and here.
_PHRASES = {
    "fit(allow_failed_chains=True)": "--allow-failed-chains",
    "output_dir must be the folder of a fit(..., output_dir=)": (
        "FOLDER must be one that a fit's --output-dir named"
    ),
    "output_dir must hold a fit": "FOLDER must hold a fit",
    "fit the model with output_dir= to begin one": (
        "`hiermodels fit` with --output-dir begins one"
    ),
    "a whole file that fit(..., output_dir=) wrote": (
        "a whole file that a fit with --output-dir wrote"
    ),
    "fit must name one of the": "--fit must name one of the",
    "output_dir must be a folder that can be": "--output-dir must be a folder that can be",
    "set TMPDIR or output_dir": "set TMPDIR or --output-dir",
    "or priors=hm.gibbs.reference() or hm.gibbs.semiconjugate(...)": (
        "or a --prior of those, such as 'tau=Flat()'"
    ),
}
_TEXT = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
_PHRASE = rf"(?<![\w-])(?P<phrase>{'|'.join(map(re.escape, _PHRASES))})"
_CALL = rf"hm\.resume\((?P<folder>{_TEXT})(?:, fit=(?P<fit>{_TEXT}))?\)"
_PRIOR = rf"(?<![^\s(])priors=\{{'(?P<block>\w+)': \{{(?P<element>{_TEXT}): \.\.\.\}}\}}"
_PLACE = rf"(?<![^\s(])output_dir=(?P<place>{_TEXT})"
# A word of its own: what stands in a path, or in the parentheses of a call, is none.
_OPTION = (
    r"(?<![^\s(])(?<!\w\()"
    r"(?:(?P<name>engine|pooling|missing|intercept|intercept_at|sigma|(?P<twice>parameterization))='(?P<word>\w+)'"
    r"|(?P<count>adapt_delta|max_treedepth|chains|draws|warmup)=(?P<number>\d+(?:\.\d+)?))"
    r"(?=[\s;:)]|[.,](?:\s|\.|$)|$)"
    # Named once in "parameterization='marginal', then 'noncentered'".
    r"(?(twice)(?:(?P<then>,\s+then\s+)'(?P<other>\w+)')?)"
)
# A folder may be called "chains=4", and four chains be the advice all the same.
_NO_ADVICE = r"(?<!with )(?<!then )(?<!usual )(?<!now )(?<!and )"
_QUOTED = "|".join(
    (
        r"next: hiermodels .*",  # a command already
        r"`[^`]*`",
        r"\ba \w+ \(.{0,60}? \.\.\.\)",  # what errors.shown cuts short
        r"""(?<!\w)(?P<quote>['"])(?:(?!(?P=quote)).){0,60}\.\.\. \(\d+ letters\)""",
        rf"(?<!\w)(?:{_TEXT})",
        r"(?<=\w)\[(?:[^][]|\[[^][]*\])*\]",  # the label in theta[...]
    )
)
_IN_PYTHON = "|".join((_CALL, _PRIOR, _PLACE, _PHRASE, _OPTION, _QUOTED))


def typed(text: str, own: Iterable[str] = ()) -> str:
    """Remedies as one types them here: ``adapt_delta=0.99`` -> ``--adapt-delta 0.99``.

    What is quoted, or stands in brackets, remains as it is, and so do the words in ``own``.
    """
    words = "|".join(map(re.escape, sorted(own, key=len, reverse=True)))
    return re.sub(f"{_NO_ADVICE}(?:{words})|{_IN_PYTHON}" if words else _IN_PYTHON, _as_typed, text)


def _as_typed(found: re.Match[str]) -> str:
    if found["phrase"]:
        return _PHRASES[found["phrase"]]
    if found["folder"]:
        folder, fit = (literal_eval(found[part] or "''") for part in ("folder", "fit"))
        return f"`{printable(resumption(folder, fit))}`"
    if found["block"]:
        return f"--prior {word(found['block'] + '[' + literal_eval(found['element']) + ']=...')}"
    if found["place"]:
        return f"--output-dir {word(literal_eval(found['place']))}"
    if found["count"]:
        return f"--{found['count'].replace('_', '-')} {found['number']}"
    if found["name"]:
        option = f"--{found['name'].replace('_', '-')}"
        then = f"{found['then']}{option} {found['other']}" if found["other"] else ""
        return f"{option} {found['word']}{then}"
    return found[0]


def own_words(arguments: Sequence[str]) -> list[str]:
    """The user's words that could be taken for an option in Python: paths, and those above them."""
    given = [*arguments, *(a.partition("=")[2] for a in arguments if a.startswith("--"))]
    given += filter(os.path.isabs, os.environ.values())
    with suppress(OSError, ValueError):  # no folder to stand in; a name that none can have
        given += [os.path.realpath(os.path.expanduser(word)) for word in given if word]
    places = [place for word in given for place in (word, *map(str, Path(word).parents))]
    return sorted({place for place in map(printable, places) if re.search(_OPTION, place)})


def resumption(folder: str | Path, fit: str | None = None, output: Path | None = None) -> str:
    """The command that goes on with a fit."""
    words = ["hiermodels", "resume", word(folder)]
    words += ["--fit", word(fit)] if fit else []
    words += ["-o", word(output)] if output is not None else []
    return " ".join(words)


def free(name: str, folder: Path | None = None) -> Path:
    """A file of that name that is not there yet: here, or in a folder if none can be made here."""
    here = Path() if folder is None or os.access(os.curdir, os.W_OK | os.X_OK) else folder
    stem, suffix = os.path.splitext(name)
    names = chain([name], (f"{stem}-{number}{suffix}" for number in count(2)))
    return next(here / one for one in names if not os.path.lexists(here / one))


def joined(what: object) -> str:
    """A message of several lines as one."""
    lines = [line.strip() for line in str(what).splitlines() if line.strip()]
    out = ""
    for line in lines:
        out += line if not out else (" " if out[-1] in ":;,." else "; ") + line
    return printable(out)


def one_line(what: object, own: Iterable[str] = ()) -> str:
    """A message of several lines as one, with its remedies as one types them here."""
    return typed(joined(what), own)


def printable(text: object) -> str:
    """Labels as they are, but for what would steer the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def console(least: int = 0) -> Console:
    """Standard output: as wide as the terminal (or ``least``), and without limit in a pipe."""
    from rich.console import Console

    # Markup off: a group may be called "[red]".
    plain: dict[str, Any] = {"markup": False, "highlight": False, "emoji": False}
    if not sys.stdout.isatty():
        return Console(**plain, width=100_000)
    screen = Console(**plain)
    return screen if screen.width >= least else Console(**plain, width=least)


def show(grid: Table, least: int = 0) -> None:
    """Print a table; outside of a terminal without the blanks that fill its last column."""
    out = console(least)
    if out.is_terminal:
        out.print(grid)
        return
    with out.capture() as caught:
        out.print(grid)
    for line in caught.get().rstrip("\n").split("\n"):
        say(line.rstrip())


def say(text: str = "") -> None:
    """Print a line that the terminal wraps, not we."""
    console().print(text, soft_wrap=True)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Print a table; of its columns the first ``left`` are text, the others numbers.

    A terminal that is too narrow gets text folded first; numbers are never cut.
    """
    from rich.table import Table
    from rich.text import Text

    out: Table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    widths = []
    for k, head in enumerate(heads):
        entries = [printable(row[k]) for row in rows]
        widths.append(max(map(len, [head, *entries])))
        if k < left:
            # The last of several text columns is prose, which may wrap.
            prose = left > 1 and k == left - 1
            least = min(widths[-1], 30 if prose else 16)
            out.add_column(Text(head), overflow="fold", min_width=least, no_wrap=False)
            widths[-1] = least
        else:
            out.add_column(Text(head), justify="right", no_wrap=True, min_width=widths[-1])
    for row in rows:
        out.add_row(*(Text(printable(entry)) for entry in row))
    console(sum(widths) + 2 * len(widths)).print(out)


def summary_table(summary: pd.DataFrame) -> None:
    """Print the table of :func:`hiermodels.summary`, with the digits that mean something."""
    columns = ("mean", "sd", "q5", "median", "q95", "mcse_mean", "ess_bulk", "ess_tail", "r_hat")
    rows = []
    for label, row in zip(summary.index, summary.to_dict("records"), strict=True):
        rows.append([str(label), *(_number(c, float(row[c]), float(row["sd"])) for c in columns)])
    table(["", *("mcse" if c == "mcse_mean" else c for c in columns)], rows)


def _number(column: str, value: float, sd: float) -> str:
    """A number to the digits that mean something: to a hundredth of the sd or so."""
    import math

    if not math.isfinite(value):
        return "-"
    if column in ("ess_bulk", "ess_tail"):
        return f"{value:.0f}"
    if column == "r_hat":
        return f"{value:.3f}"
    if not math.isfinite(sd) or not 1e-6 < sd < 1e8 or abs(value) >= 1e10:
        return f"{value:.4g}"
    decimals = max(0, 2 - math.floor(math.log10(sd))) + (column == "mcse_mean")
    return f"{value:.{decimals}f}"
