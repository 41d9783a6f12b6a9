"""Which groups a picture shows, and the words that say so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError, listed, suggest

Places = NDArray[np.intp]
Groups = Sequence[Any] | int | None
"""What ``groups=`` takes: labels, or how many at most, or nothing for the picture's own choice."""


def evenly(order: Places, most: int) -> Places:
    """At most so many of an order, evenly spaced, its two ends among them."""
    if len(order) <= most:
        return order
    return np.asarray(order[np.round(np.linspace(0, len(order) - 1, most)).astype(int)])


def at_most(groups: Any, default: int) -> int | None:
    """How many groups may be shown; None where labels were given.

    Raises
    ------
    OptionError
        A number below 1.
    """
    if groups is None:
        return default
    if isinstance(groups, int | np.integer) and not isinstance(groups, bool):
        if groups < 1:
            raise OptionError(
                f"groups must be labels, or a number of at least 1, got {groups!r}; leave it out "
                f"for up to {default}"
            )
        return int(groups)
    return None


def places(labels: Sequence[str], groups: Any, noun: str) -> Places:
    """Where the groups with some labels stand.

    Raises
    ------
    OptionError
        There is no such label, or none was given.
    """
    wanted = [groups] if isinstance(groups, str) else groups
    if isinstance(wanted, bool) or not np.iterable(wanted):
        raise OptionError(
            f"groups must be a list of labels ({noun}), or how many at most, got {groups!r}"
        )
    where = {label: j for j, label in enumerate(labels)}
    found: list[int] = []
    for label in map(str, wanted):
        if label not in where:
            raise OptionError(
                f"groups: there is no {noun} {label!r}; there are {listed(labels)}"
                f"{suggest(label, labels)}"
            )
        found.append(where[label])
    if not found:
        raise OptionError(f"groups must name a {noun} or more, got none; leave it out for all")
    return np.array(list(dict.fromkeys(found)), dtype=np.intp)


def shown(
    order: Places, labels: Sequence[str], groups: Any, *, most: int, noun: str
) -> tuple[Places, str]:
    """The groups to show in their order, and the end of a title that says which they are.

    Parameters
    ----------
    order : array of int
        All places, in the order of the picture.
    labels : sequence of str
        By place.
    groups : sequence of labels, int, or None
        As in :data:`Groups`.
    most : int
        How many are shown where nothing is asked for.
    noun : str
        What a group is called.
    """
    limit = at_most(groups, most)
    total = len(order)
    if limit is None:
        kept = order[np.isin(order, places(labels, groups, noun))]
        return kept, f" ({len(kept)} of {total} shown, as asked)" if len(kept) < total else ""
    kept = evenly(order, limit)
    return kept, f" ({len(kept)} of {total} shown, evenly by rank)" if len(kept) < total else ""


class Varied(NamedTuple):
    """Groups that show what there is: where they stand, why each was taken, and all that in words.

    Attributes
    ----------
    places : array of int
    why : dict of int to str
        By place; groups that were taken evenly have none.
    words : str
    """

    places: Places
    why: dict[int, str]
    words: str


def varied(sizes: NDArray[Any] | None, value: NDArray[Any], name: str, most: int) -> Varied:
    """The smallest and the largest groups, the extremes of a value, and the rest evenly by it.

    Parameters
    ----------
    sizes : array, shape (J,), or None
        Group sizes; one size for all tells nothing apart.
    value : array, shape (J,)
    name : str
        What the value is called.
    most : int
        How many.
    """
    by_value = np.argsort(value, kind="stable")
    if len(by_value) <= most:
        return Varied(by_value, {}, f"all, by {name}")
    if most < 4:
        return Varied(evenly(by_value, most), {}, f"evenly by {name}")
    each = max(most // 6, 1)
    why: dict[int, str] = {}

    def take(order: Places, reason: str) -> None:
        free = [int(j) for j in order if int(j) not in why]
        why.update(dict.fromkeys(free[: min(each, most - len(why))], reason))

    words = []
    if sizes is not None and sizes.min() < sizes.max():
        by_size = np.argsort(sizes, kind="stable")
        take(by_size, "smallest")
        take(by_size[::-1], "largest")
        words += [f"{each} smallest", f"{each} largest"]
    take(by_value, f"lowest {name}")
    take(by_value[::-1], f"highest {name}")
    words += [f"{each} of the lowest and {each} of the highest {name}"]
    chosen = list(why)
    rest = most - len(chosen)
    if rest:
        free = np.array([j for j in by_value if int(j) not in why])
        # Neither end: those are taken.
        inner = np.round(np.linspace(0, len(free) - 1, rest + 2)).astype(int)[1:-1]
        chosen += [int(j) for j in free[inner]]
        words.append(f"{rest} evenly by {name}")
    return Varied(np.array(chosen, dtype=np.intp), why, ", ".join(words))
