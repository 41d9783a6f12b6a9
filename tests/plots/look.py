"""How a picture is read: the marks, lines and words that are on it."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.text import Text


def line(ax: Any, label: str) -> Any:
    """The line with some label."""
    (found,) = [each for each in ax.lines if each.get_label() == label]
    return found


def points(ax: Any, label: str) -> np.ndarray:
    """Places of the marks whose label begins so, shape (n, 2)."""
    found = [
        each
        for each in ax.collections
        if isinstance(each, PathCollection) and each.get_label().startswith(label)
    ]
    (one,) = found
    return np.ma.getdata(one.get_offsets())


def areas(ax: Any, label: str) -> np.ndarray:
    """Areas of the same."""
    (found,) = [each for each in ax.collections if each.get_label().startswith(label)]
    return np.asarray(found.get_sizes())


def bars(ax: Any, which: int = 0) -> np.ndarray:
    """Ends of some straight lines, shape (n, 2, 2): end, then (x, y)."""
    found = [each for each in ax.collections if isinstance(each, LineCollection)]
    return np.array(found[which].get_segments())


def rows(ax: Any) -> list[str]:
    return [tick.get_text() for tick in ax.get_yticklabels()]


def legend(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def written(ax: Any) -> list[str]:
    """Labels that are written in the picture."""
    return [text.get_text().strip() for text in ax.texts]


def title(ax: Any) -> str:
    return str(ax.get_title(loc="left"))


def boxes_apart(texts: list[Any]) -> bool:
    """Whether no two texts lie on each other; the lines that lead from them may."""
    boxes = [Text.get_window_extent(text) for text in texts if text.get_text()]
    return not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def inside(figure: Any, texts: list[Any]) -> bool:
    """Whether texts are wholly inside their figure."""
    whole = figure.bbox
    boxes = [Text.get_window_extent(text) for text in texts if text.get_text()]
    return all(
        whole.x0 - 1 <= b.x0 and b.x1 <= whole.x1 + 1 and whole.y0 - 1 <= b.y0
        and b.y1 <= whole.y1 + 1
        for b in boxes
    )  # fmt: skip
