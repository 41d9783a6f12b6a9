"""What the text of a label says: nothing, or nearly what another label says.

Text that is blank, or that Python writes for a missing value, is a missing value. Labels that look
alike stay labels of their own, as two groups may well be called ``a`` and ``A``: a warning names
them.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import DataError, DataWarning, count_of, listed
from . import engines, numerals

# Texts that astype(str) makes of missing values. Words that people write ("NA", "null", "n/a") stay
# labels: NA is Namibia's code.
WORDS = ("nan", "NaN", "None", "<NA>", "NaT")


def _letters(*ranges: tuple[int, int]) -> str:
    return "".join(chr(c) for first, last in ranges for c in range(first, last + 1))


# White space as Python's str.isspace has it, no-break spaces among it.
WHITE = _letters(
    (0x9, 0xD), (0x1C, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A),
    (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000),
)  # fmt: skip
# Letters of no width: Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt), up to
# U+FFFF.
INVISIBLE = _letters(
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0),
)  # fmt: skip
_BLANK = WHITE + INVISIBLE
# The letters themselves, as \s is other letters in every engine; no group that captures, as pandas
# and Dask warn of those; and one way to match, as two would take quadratic time.
_PATTERN = f"^[{_BLANK}]*(?:(?:{'|'.join(WORDS)})[{_BLANK}]*)?$"
_UNSEEN = re.compile(f"[{INVISIBLE}]+")

TYPES = (nw.String, nw.Categorical, nw.Enum)
"""Types of columns of text, to Narwhals."""

_SHOWN, _LONGEST = 3, 100
_TRIED = 1000  # pairs for which the line of code is tried


# ---- missing values ------------------------------------------------------------------------------


def is_missing(text: str) -> bool:
    """Whether a text stands for a missing value."""
    bare = text.strip(_BLANK)
    return not bare or bare in WORDS


_FIRST = np.zeros(2**16, dtype=bool)
_FIRST[[0, *map(ord, _BLANK), *(ord(word[0]) for word in WORDS)]] = True


def missing_among(labels: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Which labels stand for a missing value; their first letters spare most of them a look."""
    labels = np.ascontiguousarray(labels, dtype=labels.dtype.newbyteorder("="))
    first = labels.view(np.uint32)[:: labels.dtype.itemsize // 4]  # NumPy's text is of 32 bits
    found: NDArray[np.bool_] = _FIRST[np.minimum(first, len(_FIRST) - 1)]
    found[found] = [is_missing(text) for text in labels[found].tolist()]
    return found


def missing(column: Any) -> Any:
    """Whether a column of text is missing, as an expression of Narwhals; null is missing too."""
    return column.cast(nw.String).fill_null("").str.contains(_PATTERN)


def counted(data: Any, columns: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """The texts in a lazy frame that stand for missing values, and the rows of each.

    Parameters
    ----------
    data : LazyFrame
    columns : mapping of str to str
        Column -> its name in ``data``.
    """
    found = {}
    for column, name in columns.items():
        there = data.filter(~nw.col(name).is_null()).select(text=nw.col(name).cast(nw.String))
        there = there.filter(missing(nw.col("text"))).group_by("text").agg(nw.len().alias("n"))
        found[column] = dict(engines.collected(there.select("text", "n")).rows())
    return found


def told(texts: Mapping[str, Mapping[str, int]]) -> tuple[str, str]:
    """Name texts that were taken for missing values, and say what to do where they are labels.

    Parameters
    ----------
    texts : mapping of str to mapping of str to int
        Column -> text -> rows.

    Returns
    -------
    tuple of str
        How the rows' description goes on, and how the advice does; empty without such texts.
    """
    each = [
        (name, [_cut(ascii(text)) for text in sorted(rows, key=lambda t: (-rows[t], t))])
        for name, rows in texts.items()
        if rows
    ]
    if not each:
        return "", ""
    named = "; ".join(
        f"{name}: {', '.join(found[:_SHOWN])}"
        f"{f' and {len(found) - _SHOWN} more' if len(found) > _SHOWN else ''} in "
        f"{count_of(sum(texts[name].values()), 'row')}"
        for name, found in each
    )
    name, (first, *_) = each[0]
    return (
        f", text that is blank or Python's for a missing value among them ({named})",
        f"; if {first} is a label, rename it: frame[{name!r}].replace({{{first}: 'unnamed'}})",
    )


# ---- labels that look alike ----------------------------------------------------------------------


def folded(texts: Sequence[str]) -> list[str]:
    """What labels have in common that look alike: trimmed, of one normal form, one case.

    This is Unicode's toNFKC_Casefold (The Unicode Standard, section 3.13), trimmed. The texts, in
    which there is no NUL, go through it joined to one: a million calls would take a second.
    """
    joined = "\0".join(texts)
    if joined.isascii():
        joined = joined.casefold()
    else:
        joined = _visible(unicodedata.normalize("NFKC", joined)).casefold()
        joined = unicodedata.normalize("NFKC", joined)
    return [text.strip() for text in joined.split("\0")]


def pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Each label that looks like an earlier one, after that one."""
    keys = folded(texts)
    # Labels that hold a NUL, in statistics made by hand, are refused where they are written.
    if len(set(keys)) == len(texts) or len(keys) != len(texts):
        return []
    first: dict[str, str] = {}
    both = ((first.setdefault(key, text), text) for text, key in zip(texts, keys, strict=True))
    return [(one, other) for one, other in both if one is not other]


def warn(
    group: str, labels: NDArray[Any], levels: Mapping[str, Sequence[str]], role: str = "group"
) -> None:
    """Warn, once, of groups that look alike, and of levels of factors that do.

    Parameters
    ----------
    group : str
        The group column.
    labels : array, shape (J,)
        Its labels; nothing is done about integers.
    levels : mapping of str to sequence of str
        The levels of each factor.
    role : {"group", "by"}
        Whether they are labels of groups or of data sets.
    """
    parts = []
    if labels.dtype.kind == "U":
        if (number := _fraction(labels)) is not None:
            warnings.warn(
                f"labels of {role}={group!r} are numbers with fractions, such as {number}, each a "
                "group of its own; a measured quantity is a predictor, not a group",
                DataWarning,
                stacklevel=2,
            )
        own = "data set" if role == "by" else "group"
        parts.append(_alike(f"labels of {role}={group!r}", group, labels.tolist(), own))
    for name, texts in levels.items():
        parts.append(_alike(f"levels of predictor {name!r}", name, texts, "level"))
    if said := "; ".join(filter(None, parts)):
        warnings.warn(
            f"{said}; if they differ on purpose, nothing is to be done", DataWarning, stacklevel=2
        )


def _fraction(labels: NDArray[Any]) -> str | None:
    """The first label with a fraction where all are numbers, as a measured quantity's are."""
    first = next((text for text in labels.tolist() if not numerals.is_number(text)), None)
    if first is not None or not len(labels):
        return None
    values = labels.astype(np.float64)
    with np.errstate(invalid="ignore"):
        broken = np.isfinite(values) & (values % 1 != 0)
    return str(labels[int(np.argmax(broken))]) if broken.any() else None


def _alike(what: str, column: str, texts: Sequence[str], own: str) -> str:
    found = pairs(texts)
    if not found:
        return ""
    shown = ", ".join(map(" and ".join, (as_a_pair(*pair) for pair in found[:_SHOWN])))
    more = f" and {count_of(len(found) - _SHOWN, 'more pair')}" if len(found) > _SHOWN else ""
    return (
        f"{count_of(len(found), 'pair')} of {what} look alike but are not equal "
        f"({shown}{more}), and each is a {own} of its own; if they are the same, merge them first, "
        f"in pandas: frame[{column!r}] = frame[{column!r}]{_merging(found[:_TRIED])}"
    )


def resembling(asked: Sequence[str], known: Sequence[str]) -> str:
    """Name the first text that looks like a known one, as the end of a message, or nothing."""
    names = dict(zip(folded(known), known, strict=False))
    for text, key in zip(asked, folded(asked), strict=False):
        if key in names:
            one, other = as_a_pair(text, names[key])
            return f"; {one} looks like {other} but is not equal to it"
    return ""


def as_a_pair(one: str, other: str) -> tuple[str, str]:
    """Two texts as they are quoted in a message, with escapes where they would print alike."""
    if _printed(one) == _printed(other):
        return _cut(ascii(one)), _cut(ascii(other))
    return _cut(repr(one)), _cut(repr(other))


def _merging(found: Iterable[tuple[str, str]]) -> str:
    """The methods of pandas that make one label of each pair, no more of them than it takes."""
    both = list(found)
    unseen = f"[{''.join(sorted(set(''.join(map(''.join, both))) & set(INVISIBLE)))}]"
    steps: list[tuple[str, Callable[[str], str]]] = [
        (".str.normalize('NFKC')", lambda text: unicodedata.normalize("NFKC", text)),
        (".str.normalize('NFC')", lambda text: unicodedata.normalize("NFC", text)),
        (f".str.replace({unseen!a}, '', regex=True)", _visible),
        (".str.strip()", str.strip),
        (".str.casefold()", str.casefold),
    ]

    def merge(some: Iterable[tuple[str, Callable[[str], str]]]) -> bool:
        texts = np.array(both, dtype=object)
        for _, step in some:
            texts = np.frompyfunc(step, 1, 1)(texts)
        return bool(np.all(texts[:, 0] == texts[:, 1]))

    for step in [steps[0], *reversed(steps[1:])]:
        if merge(rest := [other for other in steps if other is not step]):
            steps = rest
    return "".join(name for name, _ in steps)


def _visible(text: str) -> str:
    return _UNSEEN.sub("", text)


def _printed(text: str) -> str:
    return unicodedata.normalize("NFKC", _visible(repr(text)))


def _cut(quoted: str) -> str:
    return quoted if len(quoted) <= _LONGEST else f"{quoted[:_LONGEST]}..."


def checked(labels: NDArray[Any], group: str) -> NDArray[Any]:
    """Refuse labels that cannot be told apart, or that are no labels."""
    if labels.dtype.kind not in "Uiu":
        raise DataError(
            f"sufficient statistics: labels of {group!r} must be an array of strings or integers, "
            f"got {labels.dtype}; numpy.array(..., dtype=str) makes them strings"
        )
    twice = labels[pd.Series(labels).duplicated().to_numpy()]
    if len(twice):
        raise DataError(
            f"sufficient statistics: labels of {group!r} must differ, got {listed(twice)} more "
            "than once; .merge adds up the statistics of one group"
        )
    if labels.dtype.kind == "U" and (gone := missing_among(labels)).any():
        bad = str(labels[gone][0])
        raise DataError(
            f"sufficient statistics: labels of {group!r} must be names, got {bad!a}, which "
            "stands for a missing value; rename it, or make the statistics anew"
        )
    return labels
