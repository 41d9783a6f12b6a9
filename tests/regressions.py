"""Independent draws, and exact leave-one-out values, without pooling and under complete pooling.

With flat coefficients and sigma ~ LogFlat() both are linear regressions in closed form (Gelman et
al., Bayesian Data Analysis, 3rd ed., section 14.2): without CmdStan, in the package's container.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.models import layout, provenance
from hiermodels.models.pointwise import pointwise_parts

Array = np.ndarray[Any, np.dtype[np.float64]]


def container(model: Any, *, chains: int = 4, draws: int = 1000, seed: int = 1) -> Any:
    """Draws of a model of no or complete pooling, in the container that a fit would be in."""
    d, rng = model.design, np.random.default_rng(seed)
    rows, size = d.rows("the test"), chains * draws
    stan: dict[str, Array] = {}
    if d.residual == "known":
        sd: Any = np.ones((size, 1))
    else:
        left, df = _residual(model)
        sd = np.sqrt(left / rng.chisquare(df, size))[:, None]
        stan["sigma"] = sd
    drawn = []
    for own in _blocks(model):
        W, y, _ = _columns(model, own)
        root = np.linalg.cholesky(np.linalg.inv(W.T @ W))
        b = np.linalg.lstsq(W, y, rcond=None)[0]
        drawn.append(b + sd * (rng.standard_normal((size, len(b))) @ root.T))
    coefficients = np.stack(drawn, axis=1)  # (size, blocks, K + P)
    theta, beta = coefficients[:, :, : d.K], coefficients[:, :, d.K :]
    if model.pooling == "complete":
        stan |= {"mu": theta[:, 0], "beta": beta[:, 0]}
    else:
        stan |= {"theta": theta, "beta": beta}
    if d.scalar:
        name = "mu" if model.pooling == "complete" else "theta"
        stan[name] = stan[name][..., 0]
    if not rows.x.shape[1]:
        del stan["beta"]
    shaped = {name: x.reshape(chains, draws, *x.shape[1:]) for name, x in stan.items()}
    shaped = d.origin.from_zero(shaped)
    posterior = layout.posterior(model, shaped, (), range(chains))
    added, said = pointwise_parts(model, posterior, seed, True)
    attrs = provenance.attributes(model, seed) | {"pointwise": said, "chains": chains}
    return idatas.container({"posterior": posterior, **added, **layout.data(model)}, attrs)


def exact_loo(model: Any) -> Array:
    """Log p(y_i | y_-i) of each row; NaN where a row is all there is.

    With leverage h, residual e, and RSS - e^2 / (1 - h) left on one degree of freedom fewer, row i
    has a t distribution about the rest's prediction, e / (1 - h) away, of variance s^2 / (1 - h).
    """
    out = np.full(model.design.N, np.nan)
    for own in _blocks(model):
        W, y, unit = _columns(model, own)
        Q = np.linalg.qr(W)[0]
        rest = 1 - np.sum(Q**2, axis=1)
        e = y - Q @ (Q.T @ y)
        for i in np.flatnonzero(rest > 1e-9):
            away = e[i] / rest[i]
            if model.design.residual == "known":
                out[own[i]] = stats.norm.logpdf(away, 0, np.sqrt(1 / rest[i])) - np.log(unit[i])
            else:
                left, df = _residual(model)
                s = np.sqrt((left - e[i] ** 2 / rest[i]) / (df - 1) / rest[i])
                out[own[i]] = stats.t.logpdf(away, df - 1, 0, s)
    return out


def _blocks(model: Any) -> list[Any]:
    """Rows of each regression."""
    index = model.design.rows("the test").index
    if model.pooling == "complete":
        return [np.arange(len(index))]
    return [np.flatnonzero(index == j) for j in range(model.design.J)]


def _columns(model: Any, own: Any) -> tuple[Array, Array, Array]:
    """Columns and response of some rows, in units of their known standard errors."""
    rows = model.design.rows("the test")
    unit = np.ones(len(own)) if rows.se is None else rows.se[own]
    W = np.hstack([rows.z[own], rows.x[own]])
    return W / unit[:, None], rows.y[own] / unit, unit


def _residual(model: Any) -> tuple[float, int]:
    """Residual sum of squares and degrees of freedom over all regressions."""
    left, df = 0.0, 0
    for own in _blocks(model):
        W, y, _ = _columns(model, own)
        Q = np.linalg.qr(W)[0]
        left += float(np.sum((y - Q @ (Q.T @ y)) ** 2))
        df += len(own) - W.shape[1]
    return left, df


def eight_schools(pooling: str, **priors: Any) -> hm.EightSchools:
    frame = hm.datasets.eight_schools()
    flat = {"theta" if pooling == "none" else "mu": hm.Flat()}
    return hm.EightSchools(
        frame, effect="effect", se="se", group="school", pooling=pooling, priors=flat | priors
    )


def one_way(frame: Any, pooling: str, **priors: Any) -> hm.OneWay:
    flat = {"theta" if pooling == "none" else "mu": hm.Flat(), "sigma": hm.LogFlat()}
    return hm.OneWay(frame, y="y", group="group", pooling=pooling, priors=flat | priors)


def slopes(frame: Any, pooling: str, common: Any = (), **priors: Any) -> hm.VaryingSlopes:
    flat = {"theta" if pooling == "none" else "mu": hm.Flat(), "sigma": hm.LogFlat()}
    flat |= {"beta": hm.Flat()} if common else {}
    return hm.VaryingSlopes(
        frame,
        y="y",
        group="group",
        varying=["x1"],
        common=common,
        pooling=pooling,
        priors=flat | priors,
    )
