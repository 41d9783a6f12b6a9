"""The floor: independent draws from the exact posterior, in plain NumPy.

Nobody needs to be faster, and an effective sample size per second is compared with it. The group
effects integrate out, and then mu (Gelman et al., Bayesian Data Analysis, 3rd ed., section 5.4), so
that a grid over the remaining one (log tau) or two (log tau, log sigma) is the exact posterior, up
to the grid's fineness. The draws go back the same way: a cell of the grid, a place in the cell, mu
given them, theta given all. It is also the reference that every contender's answers must match.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.job import Job

__all__ = ["Groups", "eight_schools", "from_statistics", "one_way", "statistics_of"]

Array = NDArray[np.float64]

_WIDE = 24.0
# Half the first grid's width in log tau and log sigma: e^24 either way of the data's own scale.
_FINE = 160
# Cells of the final grid in each direction, over all that has any mass.
_NOTHING = 1e-9
# Density relative to the mode below which a cell is left out.


@dataclass(frozen=True)
class Groups:
    """Groups of one size (or one standard error): how many, their mean, and their spread.

    Attributes
    ----------
    size : array, shape (D,)
        Distinct sizes; 1 for groups that are known by one estimate.
    count, mean, squares : array, shape (D,)
        Number of groups of that size, the mean of their means, and the sum of squares about it.
    error : array, shape (D,)
        Standard errors of the estimates; of no use where sigma is unknown.
    within, df : float
        Sum of squares within groups, and its degrees of freedom.
    """

    size: Array
    count: Array
    mean: Array
    squares: Array
    error: Array
    within: float = 0.0
    df: float = 0.0

    @classmethod
    def of(cls, key: Array, means: Array, *, known: bool, within: float, df: float) -> Groups:
        """Collapse groups that have the same key: size, or standard error where that is known."""
        distinct, place = np.unique(key, return_inverse=True)
        count = np.bincount(place).astype(float)
        mean = np.bincount(place, means) / count
        squares = np.bincount(place, (means - mean[place]) ** 2)
        ones = np.ones_like(distinct)
        size, error = (ones, distinct) if known else (distinct, ones)
        return cls(size, count, mean, squares, error, within, df)


def _log_posterior(
    groups: Groups, priors: dict[str, Any], log_tau: Array, log_sigma: Array
) -> tuple[Array, Array, Array]:
    """Log density of (log tau, log sigma), and mean and precision of mu given them.

    With v_j = tau^2 + sigma^2/n_j: mu | tau, sigma, y is normal with precision
    1/s^2 + sum 1/v_j, and ybar_j ~ N(mu, sqrt(v_j)), SSW/sigma^2 ~ chi^2 on N - J.
    """
    _, centre, sd = priors["mu"]
    tau, sigma = np.exp(log_tau), np.exp(log_sigma)
    v = tau[..., None] ** 2 + (groups.error * sigma[..., None]) ** 2 / groups.size
    w = groups.count / v
    precision = w.sum(-1) + sd**-2
    mean = ((w * groups.mean).sum(-1) + centre / sd**2) / precision
    quadratic = (w * (groups.mean - mean[..., None]) ** 2).sum(-1) + ((mean - centre) / sd) ** 2
    log_p = -0.5 * ((groups.count * np.log(v)).sum(-1) + (groups.squares / v).sum(-1))
    log_p -= 0.5 * (quadratic + np.log(precision))
    log_p += _log_scale_prior(priors["tau"], tau) + log_tau
    if "sigma" in priors:
        log_p -= groups.df * log_sigma + groups.within / (2 * sigma**2)
        log_p += _log_scale_prior(priors["sigma"], sigma) + log_sigma
    return log_p, mean, precision


def _log_scale_prior(prior: list[Any], x: Array) -> Array:
    family, scale = prior
    if family == "half_normal":
        return -0.5 * (x / scale) ** 2
    if family == "half_cauchy":
        return -np.log1p((x / scale) ** 2)
    raise ValueError(f"the floor has no prior {family!r} for a scale; add it")


def _draw(
    groups: Groups, priors: dict[str, Any], number: int, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Draws of mu, tau and sigma (1 where it is known)."""
    two = "sigma" in priors

    def evaluate(axes: list[Array]) -> Array:
        grid = np.meshgrid(*axes, indexing="ij")
        log_sigma = grid[1] if two else np.zeros_like(grid[0])
        log_p = _log_posterior(groups, priors, grid[0], log_sigma)[0]
        return np.asarray(np.exp(log_p - log_p.max()))

    spread = np.average((groups.mean - np.average(groups.mean, weights=groups.count)) ** 2)
    scale = np.sqrt(spread + (groups.squares.sum() / groups.count.sum())) or 1.0
    middles = [np.log(scale)]
    if two:
        middles.append(0.5 * np.log(groups.within / groups.df))
    axes = [np.linspace(m - _WIDE, m + _WIDE, 49) for m in middles]
    p = _zoom(evaluate, axes)
    cell = rng.choice(p.size, number, p=(p / p.sum()).ravel())
    places = np.unravel_index(cell, p.shape)
    steps = [axis[1] - axis[0] for axis in axes]
    log_tau, *rest = (
        axis[place] + step * (rng.random(number) - 0.5)
        for axis, place, step in zip(axes, places, steps, strict=True)
    )
    log_sigma = rest[0] if two else np.zeros(number)
    _, mean, precision = _log_posterior(groups, priors, log_tau, log_sigma)
    mu = mean + rng.standard_normal(number) / np.sqrt(precision)
    return mu, np.exp(log_tau), np.exp(log_sigma)


def _zoom(evaluate: Callable[[list[Array]], Array], axes: list[Array]) -> Array:
    """Narrow the axes, in place, to where there is mass; the density on the last, finest grid."""
    for round_ in range(12):
        p = evaluate(axes)
        ends = []
        for d, axis in enumerate(axes):
            inside = np.flatnonzero(p.max(axis=tuple(set(range(p.ndim)) - {d})) > _NOTHING)
            ends.append((axis[max(inside[0] - 1, 0)], axis[min(inside[-1] + 1, len(axis) - 1)]))
        narrower = [(b - a) / (axis[-1] - axis[0]) for (a, b), axis in zip(ends, axes, strict=True)]
        done = min(narrower) > 0.8 or round_ == 10
        # One direction more can be as fine as two together.
        cells = (_FINE if len(axes) == 2 else _FINE * 20) if done else 49
        for d, (a, b) in enumerate(ends):
            axes[d] = np.linspace(a, b, cells)
        if done:
            break
    return evaluate(axes)


def _effects(mu: Array, tau: Array, variances: Array, means: Array, rng: Any) -> Array:
    """theta_j | mu, tau, y ~ N(B_j mu + (1 - B_j) ybar_j, sqrt(1 - B_j) s_j), in place."""
    kept = tau[:, None] ** 2 / (tau[:, None] ** 2 + variances)  # 1 - B_j
    theta = rng.standard_normal(kept.shape)
    theta *= np.sqrt(kept * variances)
    theta += mu[:, None]
    theta += kept * (means - mu[:, None])
    return np.asarray(theta)


def eight_schools(
    y: Array, se: Array, priors: dict[str, Any], *, number: int, seed: int
) -> dict[str, Array]:
    """Independent draws: ``mu`` and ``tau`` of shape (number,), ``theta`` of (number, J)."""
    rng = np.random.default_rng(seed)
    groups = Groups.of(se, y, known=True, within=0.0, df=0.0)
    mu, tau, _ = _draw(groups, priors, number, rng)
    return {"mu": mu, "tau": tau, "theta": _effects(mu, tau, se**2, y, rng)}


def one_way(
    y: Array, jj: NDArray[np.int64], priors: dict[str, Any], *, number: int, seed: int
) -> dict[str, Array]:
    """Independent draws: ``mu``, ``tau``, ``sigma`` (number,), ``theta`` (number, J)."""
    n = np.bincount(jj).astype(float)
    centre = y.mean()
    means = centre + np.bincount(jj, y - centre) / n
    within = float(((y - means[jj]) ** 2).sum())
    return from_statistics(n, means, within, priors, number=number, seed=seed)


def from_statistics(
    n: Array,
    means: Array,
    within: float,
    priors: dict[str, Any],
    *,
    number: int,
    seed: int,
    kept: Any = slice(None),
) -> dict[str, Array]:
    """The draws of :func:`one_way` from sizes, means and the sum of squares within groups.

    ``kept`` are the groups whose ``theta`` is drawn: of 1e6 groups, 4,000 draws are 32 GB.
    """
    rng = np.random.default_rng(seed)
    groups = Groups.of(n, means, known=False, within=within, df=float(n.sum() - len(n)))
    mu, tau, sigma = _draw(groups, priors, number, rng)
    theta = _effects(mu, tau, sigma[:, None] ** 2 / n[kept], means[kept], rng)
    return {"mu": mu, "tau": tau, "sigma": sigma, "theta": theta}


def statistics_of(path: str) -> tuple[Array, Array, float]:
    """Sizes and means of the groups of a Parquet file, in order, and the squares within them.

    One query of DuckDB, which shares nothing with hiermodels' own way of reading.
    """
    import duckdb

    columns = duckdb.execute(
        "SELECT count(*)::DOUBLE AS n, avg(y) AS mean, var_pop(y) * count(*) AS squares "
        'FROM read_parquet(?) GROUP BY "group" ORDER BY "group"',
        [path],
    ).fetchnumpy()
    n, means, squares = (np.asarray(columns[name], float) for name in ("n", "mean", "squares"))
    return n, means, float(squares.sum())


def main() -> None:
    """Draw as often as the job says; independent draws, laid out as if they were chains."""
    job = Job.open()
    from_file = job.data.endswith(".parquet")
    data = {} if from_file else job.load()
    statistics = None
    number = job.chains * job.draws
    for again, label in enumerate(job.labels()):
        options = {"number": number, "seed": job.seed + again}
        with job.timing(label):
            if job.family == "eight_schools":
                drawn = eight_schools(data["y"], data["se"], job.priors, **options)
            elif from_file:
                if statistics is None:
                    with job.timing("statistics"):
                        statistics = statistics_of(job.data)
                drawn = from_statistics(*statistics, job.priors, kept=job.keep_groups, **options)
            else:
                drawn = one_way(data["y"], data["jj"], job.priors, **options)
        kept = slice(None) if from_file else job.keep_groups
        drawn["theta"] = drawn["theta"][:, kept, None]
        shape = (job.chains, job.draws)
        job.keep(
            label,
            {name: values.reshape(*shape, *values.shape[1:]) for name, values in drawn.items()},
            sampling=job.record["seconds"][label],
        )


if __name__ == "__main__":
    main()
