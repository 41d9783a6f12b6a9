"""The trapezoid rule on a lattice of one or two unbounded dimensions, and what follows from it.

For a density that is analytic in a strip |Im u| < d about the real line and falls off at both ends,
the trapezoid rule with step h is off by about exp(-2 pi d / h), and the sinc interpolant, whose
integral gives the distribution function, by about exp(-pi d / h) (Trefethen and Weideman 2014, "The
exponentially convergent trapezoidal rule", SIAM Review 56, section 5; Stenger 1993, Numerical
Methods Based on Sinc and Analytic Functions, section 3.6). So halving the step squares the error,
and what every second node gives tells what all of them are worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from ...errors import ExactError, option
from .lattices import Lattice, TailError

__all__ = ["lattice"]

Array = NDArray[np.float64]
LogDensity = Callable[[Array], Array]
"""Log density at points of shape (M, d), up to a constant: shape (M,)."""

DEPTH = 42.0
"""Nodes are kept down to exp(-42) of the highest: 6e-19."""
TOLERANCE = 1e-11
"""Relative change of the integral, when every second node is left out, that counts as none."""
_NOISE = 1e-7  # errors below this that halving does not lessen are rounding
_STEP = 0.4  # in conditional standard deviations at the mode; halved where that is not enough
_WIDEST = 0.4  # of these standard deviations, where the density is wider than a normal one
_COARSE = 4  # steps of the lattice that finds where the density is
_SCANNED, _SCAN_STEP = 60.0, 0.25  # how far other modes are looked for, and how closely
_ACROSS = 15.0  # and how far the second coordinate may lie from its mode
_MOST = 6_000_000  # nodes
_BLOCK = 2**13  # nodes at once
_FARTHEST = 120.0
"""How far from the mode the lattice goes: no tail is followed that falls slower than exp(-u/3)."""


def lattice(
    log_density: LogDensity,
    start: Array,
    width: Array,
    *,
    reach: LogDensity | None = None,
    depth: float = DEPTH,
) -> Lattice:
    """Tabulate a density of one or two dimensions wherever it is not negligible.

    Parameters
    ----------
    log_density : callable
        Of points, shape (M, d).
    start : array, shape (d,)
        Where to look for the mode.
    width : array, shape (d,)
        About how wide the density is there.
    reach : callable, optional
        Log of what is to be integrated beside 1, as the square of a standard deviation: the nodes
        go on until the density times that is negligible, too.
    depth : float
        How far below the highest the log density is followed.

    Notes
    -----
    ``error`` is that of the nodes' distance. A second mode is looked for along the first
    coordinate, a quarter apart; one that is narrower than that may be missed.

    Raises
    ------
    TailError
        The density, or the density times ``reach``, does not fall off.
    ExactError
        The density has no mode, or is too thin for a lattice.
    """
    mode, sd = _mode(log_density, start, width)
    seen, heights = _scan(log_density, mode, sd)
    best = int(np.argmax(heights))
    if heights[best] > _evaluate(log_density, mode[None])[0] + 0.5:
        mode, sd = _mode(log_density, seen[best], np.minimum(width, sd))
    step = _STEP * np.minimum(sd, _WIDEST)
    # Another mode that counts belongs to the lattice as well.
    top = max(float(heights.max()), float(_evaluate(log_density, mode[None])[0]))
    counts = seen[heights > top - depth]
    first, inside = _support(log_density, reach, mode, _COARSE * step, depth, counts)
    shape = [_COARSE * (n - 1) + 1 for n in inside.shape]
    mask = _fine(inside, shape)
    log_f = _fill(log_density, first, step, mask, np.full(shape, -np.inf), mask)
    # What rounding leaves of a large log density is no reason for more nodes.
    tolerance = max(TOLERANCE, 4 * np.finfo(float).eps * abs(float(log_f.max())))
    before = [math.inf] * len(step)
    while True:
        errors = _errors(log_f)
        worst = int(np.argmax(errors))
        noise = errors[worst] > 0.7 * before[worst] and errors[worst] < _NOISE
        if errors[worst] <= tolerance or noise:
            break
        before[worst] = errors[worst]
        if mask.size > _MOST // 2:
            raise ExactError(
                "the posterior is too thin, or has too sharp an edge, for the quadrature: after "
                f"{np.count_nonzero(mask)} nodes its integral still changes by a share of "
                f"{errors[worst]:.1g}; use " + option("engine", "nuts")
            )
        log_f, mask, step = _halve(log_density, first, step, mask, log_f, worst)
    f = np.exp(log_f - log_f.max())
    thinned = f[tuple(slice(None, None, 2) for _ in f.shape)].sum() * 2**f.ndim / f.sum()
    every = 2 if abs(thinned - 1) <= max(tolerance, 2 * max(errors)) else 1
    return Lattice(first, step, log_f, float(max(errors)), every)


def _mode(log_density: LogDensity, start: Array, width: Array) -> tuple[Array, Array]:
    """The mode, and the conditional standard deviations there."""

    def minus(x: Array) -> float:
        with np.errstate(over="ignore", invalid="ignore"):  # far out, where there is no density
            value = float(log_density((start + width * x)[None])[0])
        return -value if np.isfinite(value) else 1e300

    d = len(start)
    simplex = np.vstack([np.zeros(d), np.eye(d)])
    options = {"initial_simplex": simplex, "xatol": 1e-2, "fatol": 1e-2, "maxiter": 600}
    minimize: Any = optimize.minimize  # SciPy's types ask for more than it does
    found = minimize(minus, np.zeros(d), method="Nelder-Mead", options=options)
    mode = start + width * np.asarray(found.x)
    sd = np.empty(d)
    for k in range(d):
        # The step at which the log density has fallen by about a half tells the width.
        step = width[k]
        for _ in range(60):
            ends = np.repeat(mode[None], 3, axis=0)
            ends[1, k] += step
            ends[2, k] -= step
            centre, up, down = log_density(ends)
            fall = centre - (up + down) / 2
            if not np.isfinite(fall) or fall > 2:
                step /= 2
            elif fall < 0.1 and step < 2:
                step *= 2
            else:
                break
        else:
            raise ExactError(
                "the posterior has no mode that could be found; use " + option("engine", "nuts")
            )
        sd[k] = step / np.sqrt(2 * max(fall, 0.02))
    return mode, sd


def _scan(log_density: LogDensity, mode: Array, sd: Array) -> tuple[Array, Array]:
    """Points along the first coordinate, the second at its best for each, and their log densities.

    A density of tau may have a mode near 0, where a prior wants it, beside the one that the data
    want. The second coordinate has one best place for each value of the first.
    """
    x = mode[0] + np.arange(-_SCANNED, _SCANNED + _SCAN_STEP, _SCAN_STEP)
    if len(mode) == 1:
        points = x[:, None]
        return points, _evaluate(log_density, points)
    # Golden sections, for all values of the first at once.
    low, high = np.full(len(x), mode[1] - _ACROSS), np.full(len(x), mode[1] + _ACROSS)
    share = (math.sqrt(5) - 1) / 2

    def height(y: Array) -> Array:
        return _evaluate(log_density, np.column_stack([x, y]))

    a, b = high - share * (high - low), low + share * (high - low)
    at_a, at_b = height(a), height(b)
    while float(np.max(high - low)) > sd[1] / 4:
        up = at_a < at_b
        low, high = np.where(up, a, low), np.where(up, high, b)
        new = np.where(up, low + share * (high - low), high - share * (high - low))
        at_new = height(new)
        a, at_a, b, at_b = (
            np.where(up, b, new),
            np.where(up, at_b, at_new),
            np.where(up, new, a),
            np.where(up, at_new, at_a),
        )
    best = np.where(at_a > at_b, a, b)
    return np.column_stack([x, best]), np.maximum(at_a, at_b)


def _support(
    log_density: LogDensity,
    reach: LogDensity | None,
    mode: Array,
    step: Array,
    depth: float,
    others: Array,
) -> tuple[Array, NDArray[np.bool_]]:
    """First node of a coarse lattice, and which of its nodes are within reach of the mode.

    ``others`` are points that count, shape (n, d), and are within the lattice from the beginning.
    """
    d = len(mode)
    low, high = np.full(d, -4), np.full(d, 4)
    most = np.maximum(_FARTHEST / step, 4).astype(int)
    if len(others):
        places = (others - mode) / step
        low = np.maximum(np.minimum(low, np.floor(places.min(axis=0)).astype(int) - 4), -most)
        high = np.minimum(np.maximum(high, np.ceil(places.max(axis=0)).astype(int) + 4), most)

    def edges(low: NDArray[np.int64], high: NDArray[np.int64]) -> tuple[Array, Array]:
        grids = np.meshgrid(
            *(mode[k] + step[k] * np.arange(low[k], high[k] + 1) for k in range(d)), indexing="ij"
        )
        points = np.column_stack([g.ravel() for g in grids])
        log_f = _evaluate(log_density, points)
        more = log_f if reach is None else log_f + reach(points)
        return log_f.reshape(grids[0].shape), more.reshape(grids[0].shape)

    for _ in range(60):
        log_f, more = edges(low, high)
        # What is integrated beside 1 is compared with its own highest value.
        high_enough = (log_f > log_f.max() - depth) | (more > more.max() - depth)
        grown = far = False
        for k in range(d):
            more_nodes = max(4, (high[k] - low[k]) // 3)
            if high_enough.take(0, axis=k).any():
                far |= low[k] == -most[k]
                low[k] = max(low[k] - more_nodes, -most[k])
                grown = True
            if high_enough.take(-1, axis=k).any():
                far |= high[k] == most[k]
                high[k] = min(high[k] + more_nodes, most[k])
                grown = True
        if not grown:
            return mode + step * low, high_enough
        if far or np.prod((high - low + 1).astype(float)) > _MOST:
            break
    raise TailError(
        "the posterior falls off too slowly for the quadrature: its tails reach beyond what can be "
        "computed with; give mu, tau and sigma priors that are proper, or use "
        + option("engine", "nuts")
    )


def _fine(inside: NDArray[np.bool_], shape: list[int]) -> NDArray[np.bool_]:
    """Nodes of the fine lattice whose coarse cell, or one next to it, has a corner inside."""
    wide = ndimage.binary_dilation(inside, structure=np.ones((3,) * inside.ndim, dtype=bool))
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(None, None, _COARSE) for _ in shape)] = wide
    near = np.ones((2 * _COARSE - 1,) * inside.ndim, dtype=bool)
    return np.asarray(ndimage.binary_dilation(mask, structure=near))


def _fill(
    log_density: LogDensity,
    first: Array,
    step: Array,
    mask: NDArray[np.bool_],
    log_f: Array,
    where: NDArray[np.bool_],
) -> Array:
    """Compute the log density at the nodes of ``where`` that are in the mask."""
    places = np.nonzero(mask & where)
    out = log_f.copy()
    points = np.column_stack([first[k] + step[k] * i for k, i in enumerate(places)])
    out[places] = _evaluate(log_density, points)
    return out


def _evaluate(log_density: LogDensity, points: Array) -> Array:
    """The log density, block by block; minus infinity where it is not a number."""
    out = np.empty(len(points))
    for start in range(0, len(points), _BLOCK):
        part = slice(start, start + _BLOCK)
        with np.errstate(all="ignore"):
            out[part] = log_density(points[part])
    return np.where(np.isfinite(out), out, -np.inf)


def _errors(log_f: Array) -> list[float]:
    """Relative change of the integral when every second node of a dimension is left out."""
    f = np.exp(log_f - log_f.max())
    total = f.sum()
    out = []
    for k in range(f.ndim):
        even = f.take(np.arange(0, f.shape[k], 2), axis=k).sum()
        out.append(float(abs(2 * even / total - 1)))
    return out


def _halve(
    log_density: LogDensity,
    first: Array,
    step: Array,
    mask: NDArray[np.bool_],
    log_f: Array,
    k: int,
) -> tuple[Array, NDArray[np.bool_], Array]:
    """Twice as many nodes along one dimension."""
    shape = list(mask.shape)
    shape[k] = 2 * shape[k] - 1
    even: list[slice] = [slice(None)] * mask.ndim
    odd = list(even)
    even[k], odd[k] = slice(None, None, 2), slice(1, None, 2)
    wider, values = np.zeros(shape, dtype=bool), np.full(shape, -np.inf)
    wider[tuple(even)], values[tuple(even)] = mask, log_f
    between = mask.take(np.arange(shape[k] // 2), axis=k)
    wider[tuple(odd)] = between | mask.take(np.arange(1, shape[k] // 2 + 1), axis=k)
    new = np.zeros(shape, dtype=bool)
    new[tuple(odd)] = True
    step = step.copy()
    step[k] /= 2
    return _fill(log_density, first, step, wider, values, new), wider, step
