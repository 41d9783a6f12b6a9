"""A report of a fit, or of a comparison of pooling strategies: one page that needs nothing else.

subject -> tables, pictures and their alternatives, symbols, code -> sections -> page -> file
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OptionError
from ..system import writing

if TYPE_CHECKING:
    from ..comparison.pooling_comparison import PoolingComparison
    from ..container.inference_data import Container
    from ..models.model import Model

__all__ = ["report"]

_SUFFIXES = (".html", ".htm")


def report(
    what: PoolingComparison | Container | Any,
    path: str | os.PathLike[str],
    *,
    model: Model | None = None,
    title: str | None = None,
) -> Path:
    """Write a report as one HTML page that needs no other file and no network.

    It has the data in numbers, the model in symbols, the priors, the diagnostics' verdict, the
    estimates, pictures with a sentence each that says what they show, the comparison where there is
    one, versions, seed, and the code that makes it again. It reads on a phone, and prints.

    Parameters
    ----------
    what : PoolingComparison, InferenceData or DataTree
        What ``hm.compare_pooling(model)`` or ``model.fit()`` returned.
    path : str or path
        Ending in ``.html`` or ``.htm``; its folder has to exist. A file that is there is replaced.
    model : Model, optional
        The model that was fitted, where ``what`` is a fit: it knows the groups' own estimates,
        which priors were given, and where the data came from.
    title : str, optional
        The page's heading; by default what was fitted.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    OptionError
        ``what`` is neither, the model is none, or the file cannot be written.
    ContainerError
        The fit has no posterior, or is of another model.

    Notes
    -----
    Tables of groups show the first 100. The same fit gives the same page, to the last byte. What a
    picture needs and the fit does not hold (rows, draws of effects) is said in its place.

    Examples
    --------
    >>> import hiermodels as hm
    >>> model = hm.EightSchools(
    ...     hm.datasets.eight_schools(), effect="effect", se="se", group="school"
    ... )
    >>> pools = hm.compare_pooling(model, seed=1)
    >>> hm.report(pools, "report.html")  # doctest: +SKIP
    """
    target = _place(path)
    if title is not None and (not isinstance(title, str) or not title.strip()):
        raise OptionError(f"title must be text, got {title!r}; leave it out for what was fitted")
    from . import sections, subject

    page = sections.page(subject.of(what, model), os.fspath(path), title)
    _write(target, page)
    return target


def _place(path: Any) -> Path:
    """Where the page goes; refused now what could not be written in the end."""
    if not isinstance(path, str | os.PathLike):
        raise OptionError(f"path must name a file, as in 'report.html', got {path!r}")
    target = Path(os.path.realpath(Path(os.path.expanduser(path))))
    if target.is_dir():
        raise OptionError(f"cannot write {target}: it is a folder; add a file name (report.html)")
    if target.suffix.lower() not in _SUFFIXES:
        raise OptionError(f"a report's name must end in .html, got {target.name!r}")
    if not target.parent.is_dir():
        raise OptionError(f"cannot write {target}: create the folder {target.parent} first")
    return target


def _write(target: Path, page: str) -> None:
    """Write the page whole or not at all: beside its place first, then moved there."""
    try:
        with writing.whole(target) as partial:
            partial.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise OptionError(
            f"cannot write {target}: {error.strerror or error}; name a place that can be written "
            "and has room"
        ) from error
