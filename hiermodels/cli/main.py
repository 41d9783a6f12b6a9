"""The command line: each command calls the package and prints what comes back.

Exit codes: 0 done; 1 a run that failed, or diagnostics that say no; 2 bad input; 130 interrupted,
143 terminated, 129 hung up.
Errors and warnings are one line each on standard error, in words that can be typed here.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import HierModelsError, HierModelsWarning, OptionError
from ..system.termination import terminable
from . import compare, resume, stan
from . import fit as cli_fit
from .console import (
    ENDS,
    console,
    joined,
    one_line,
    own_words,
    printable,
    say,
    summary_table,
    table,
    typed,
)
from .paths import LOOK, TABLE, check_output, to_read, to_write

__all__ = ["app", "main"]

# Plain help: with rich's, square brackets in an example (mu[x]=...) would be taken for markup.
_PLAIN: dict[str, Any] = {"rich_markup_mode": None, "add_completion": False}
app = typer.Typer(**_PLAIN, pretty_exceptions_enable=False)
app.add_typer(cli_fit.app, name="fit")
app.add_typer(compare.app, name="compare")
app.command("report")(compare.report)
app.command("resume")(resume.resume)
app.command("install-cmdstan")(stan.install_cmdstan)
app.command("compile")(stan.compile_programs)
app.add_typer(stan.cache_app, name="cache")
app.command("doctor")(stan.doctor)

# click's base of usage errors: recent releases of typer carry click inside, older ones require it.
_UsageError: Any = typer.BadParameter.__mro__[2]


# ---- errors and warnings ------------------------------------------------------------------------

_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        # A label that the terminal's encoding lacks is no reason to fail.
        with suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    own = own_words(sys.argv[1:] if arguments is None else arguments)

    def warned(message: Warning | str, *_: Any, **__: Any) -> None:
        _say(f"warning: {one_line(message, own)}")

    with warnings.catch_warnings(), terminable():
        warnings.simplefilter("always", HierModelsWarning)
        warnings.showwarning = warned
        try:
            command = typer.main.get_command(app)
            code = command.main(arguments, prog_name="hiermodels", standalone_mode=False)
            sys.stdout.flush()
        except HierModelsError as error:
            _say(f"error: {one_line(error, own)}")
            return 2 if isinstance(error, ValueError | LookupError) else 1
        except _UsageError as error:
            return _fail(error.format_message(), int(error.exit_code))
        except (KeyboardInterrupt, typer.Abort):
            return _ended(130)
        except SystemExit as ended:
            if ended.code not in ENDS:
                raise
            return _ended(int(ended.code), getattr(ended, "left", ""))
        except BrokenPipeError:
            # Whoever read has enough (`| head`); nothing may be flushed into the pipe at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except MemoryError as error:
            said = str(error) or "no more memory"
            return _fail(f"out of memory: {said}; ask for fewer draws, or --effects summary", 1)
        except OSError as error:
            advice = "make room, or write elsewhere" if error.errno in _FULL else LOOK
            return _fail(f"{error.filename or 'output'}: {error.strerror or error}; {advice}", 1)
    return _ended(code) if code in ENDS else code if isinstance(code, int) else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _fail(what: str, code: int) -> int:
    """Say what needs no translation: it speaks of what is typed here."""
    _say(f"error: {joined(what)}")
    return code


def _ended(code: int, left: str = "") -> int:
    """Say what ended the process from outside, and what is left of its work."""
    with suppress(OSError):  # the terminal that hung up takes no more words
        _say(f"{ENDS[code]}{printable(left)}")
    return code


# ---- what comes after a fit ---------------------------------------------------------------------

_Fit = Annotated[
    Path, typer.Argument(metavar="FIT.nc", parser=to_read, help="A fit saved by -o, or by ArviZ.")
]


@app.command("summary")
def _summary(
    fit: _Fit,
    var: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this variable. Repeatable.")
    ] = None,
) -> None:
    """Show the summary table of a fit.

    \b
    Example:
      hiermodels summary fit.nc --var mu --var tau
    """
    from ..container import inference_data, netcdf
    from ..diagnostics import summary as summaries

    idata = netcdf.load(fit)
    group = "posterior" if inference_data.has(idata, "posterior") else "prior"
    summary_table(summaries.summary(idata, var or None, group=group))


@app.command("check")
def _check(fit: _Fit) -> None:
    """Say how far the draws are to be trusted.

    The exit code is 0 where they show no sign of trouble and 1 where they are not to be relied
    upon, so that a batch job can stop there.

    \b
    Example:
      hiermodels check fit.nc && echo good
    """
    from rich.text import Text

    from ..container import netcdf
    from ..diagnostics import check as diagnostics

    found = diagnostics.check(netcdf.load(fit))
    # Only what to do: above it stand the labels of the data, below it what to know of them.
    table, next_steps, rest = str(found).partition("\n\nNext:\n")
    steps, to_know, notes = rest.partition("\n\nTo know:\n")
    said = f"{table}{next_steps}{typed(steps)}{to_know}{notes}"
    text = Text("\n".join(printable(line) for line in said.split("\n")))
    text.highlight_regex(r"(?m)\bBAD\s*$", "bold red")
    text.highlight_regex(r"(?m)\bok\s*$", "green")
    console().print(text, soft_wrap=True)
    if not found.ok:
        raise typer.Exit(1)


@app.command("demo")
def _demo(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FOLDER", parser=to_write, help="Made where it is missing."
        ),
    ] = Path("demo"),
) -> None:
    """Fit the eight schools from beginning to end.

    \b
    Example:
      hiermodels demo --output demo
    """
    from . import demo

    done = demo.run(output)
    say(printable(repr(done.model)[1:-1]))
    say()
    summary_table(done.summary)
    say()
    say(typed(done.diagnostics.verdict))
    say(f"picture of the shrinkage: {done.picture}")
    say(f"the fit, for ArviZ:       {done.file}")


@app.command("datasets")
def _datasets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", show_default=False)] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DATA.csv", parser=to_write, help="Instead of printing."
        ),
    ] = None,
) -> None:
    """List the data sets, or write one as CSV.

    \b
    Example:
      hiermodels datasets eight_schools -o schools.csv
    """
    from .. import datasets

    if name is None:
        if output is not None:
            raise OptionError("--output needs a data set's NAME; `hiermodels datasets` lists them")
        listing = datasets.describe()
        rows = [[str(cell) for cell in row] for row in listing.to_numpy()]
        order = [0, 3, 4, 1, 2]
        heads = [str(listing.columns[k]) for k in order]
        table(heads, [[row[k] for k in order] for row in rows], left=3)
        return
    check_output(output, TABLE)
    frame = datasets.load(name)
    if output is None:
        sys.stdout.write(frame.to_csv(index=False))
        return
    frame.to_csv(output, index=False)
    say(f"{len(frame)} rows are in {output}")


# ---- the top ------------------------------------------------------------------------------------


def _show_version(wanted: bool) -> None:
    if wanted:
        from ..version import __version__

        say(f"hiermodels {__version__}")
        raise typer.Exit(0)


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Hierarchical models: hand-written Stan programs, NUTS, ArviZ.

    Exit codes: 0 done; 1 a run that failed; 2 bad input; 130 interrupted;
    143 terminated (SIGTERM); 129 hung up (SIGHUP).

    \b
    Example:
      hiermodels demo
      hiermodels datasets mathscore -o scores.csv
      hiermodels fit one-way scores.csv --y mathscore --group school -o fit.nc
      hiermodels check fit.nc
      hiermodels report fit.nc -o report.html
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)
