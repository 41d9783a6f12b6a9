"""A simulator for each model: a data frame, and the truth that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import OptionError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Simulated",
    "simulate_eight_schools",
    "simulate_one_way",
    "simulate_varying_slopes",
]

STANDARD_ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)
"""The standard errors of the eight schools (Rubin 1981), in points of the SAT-V."""


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
    sigma = _each("se", np.resize(STANDARD_ERRORS, J) if se is None else se, J, positive=True)
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
