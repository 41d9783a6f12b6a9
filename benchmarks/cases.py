"""The cases: data, priors and who takes part.

The data are written once, to files that every environment reads. Priors are the same for all
contenders, given as family and numbers: normal (mean, sd), half_normal (sd), half_cauchy (scale),
lkj (eta).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hiermodels as hm

__all__ = ["CASES", "KEPT_GROUPS", "Case"]

Arrays = dict[str, NDArray[Any]]
Priors = dict[str, list[Any]]

KEPT_GROUPS = 100
"""Effects are kept of at most so many groups, evenly spaced; of all where there are no more."""

_VERSION = 1
# Part of the data files' names: to be raised whenever what the generators below write changes.
_BLOCK = 2_000
# Rows of a block of 2,000 groups: some 200,000.


@dataclass(frozen=True)
class Case:
    """A data set, a model and its priors.

    Attributes
    ----------
    name, title : str
        On the command line, and in the table.
    family : {"eight_schools", "one_way", "varying_slopes"}
    priors : dict
        Prior of each hyperparameter.
    groups : int
        Number of groups at scale 1.
    peers : bool
        Whether other packages take part, and our row-by-row programs.
    arrays : callable, optional
        Number of groups -> the data, as columns ``y``, ``jj`` and ``se`` or ``x``.
    parquet : bool
        Whether the data are a Parquet file that is too large for arrays.
    truth : dict
        What the data were simulated with, by the names of the draws; empty for real data.
    """

    name: str
    title: str
    family: str
    priors: Priors
    groups: int
    arrays: Callable[[int], Arrays] | None = None
    peers: bool = True
    parquet: bool = False
    truth: dict[str, float] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Whether there are independent draws from the exact posterior to compare with."""
        return self.family != "varying_slopes"

    def scaled(self, scale: float) -> int:
        """Number of groups at a scale; the small cases have one size."""
        return max(20, round(self.groups * scale)) if self.groups >= 1000 else self.groups

    def write(self, folder: Path, scale: float = 1.0) -> Path:
        """Write the data, where they are not there yet, and return the file."""
        groups = self.scaled(scale)
        suffix = "parquet" if self.parquet else "npz"
        path = folder / f"{self.name}-{groups}-v{_VERSION}.{suffix}"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            new = path.with_suffix(f".new.{suffix}")
            if self.arrays is None:
                _write_parquet(new, groups)
            else:
                np.savez(new, **self.arrays(groups))
            new.replace(path)
        return path

    def size(self, data: Path) -> tuple[int, int]:
        """Rows and groups of a file that was written."""
        if self.parquet:
            import pyarrow.parquet as pq

            metadata = pq.read_metadata(data)
            return metadata.num_rows, int(metadata.metadata[b"groups"])
        with np.load(data) as file:
            return len(file["y"]), int(file["jj"].max()) + 1


def keep(groups: int) -> list[int]:
    """Positions of the groups whose effects are kept."""
    return np.unique(np.linspace(0, groups - 1, min(groups, KEPT_GROUPS)).astype(int)).tolist()


def _eight_schools(_: int) -> Arrays:
    frame = hm.datasets.eight_schools()
    return {
        "y": frame["effect"].to_numpy(),
        "se": frame["se"].to_numpy(),
        "jj": np.arange(len(frame)),
    }


def _mathscore(_: int) -> Arrays:
    frame = hm.datasets.mathscore()
    return {"y": frame["mathscore"].to_numpy(), "jj": frame["school"].to_numpy() - 1}


def _exam(_: int) -> Arrays:
    frame = hm.datasets.exam()
    schools = frame["school"].astype(int).to_numpy() - 1
    return {
        "y": frame["normexam"].to_numpy(dtype=float),
        "x": frame["standLRT"].to_numpy(dtype=float),
        "jj": schools,
    }


def sizes(groups: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Group sizes from 50 to 150 that add up to 100 for each group.

    Unequal on purpose: groups of one size would be the easiest case of our marginal program.
    """
    drawn = rng.integers(50, 151, groups)
    while short := 100 * groups - int(drawn.sum()):
        inner = np.flatnonzero((drawn > 50) & (drawn < 150))
        chosen = rng.choice(inner, min(abs(short), inner.size), replace=False)
        drawn[chosen] += np.sign(short)
    return drawn


_ONE_WAY_TRUTH = {"mu": 1.0, "tau": 1.0, "sigma": 2.0}
_SLOPES_TRUTH = {
    "mu[0]": 0.0,
    "mu[1]": 1.0,
    "tau[0]": 1.0,
    "tau[1]": 0.5,
    "Omega[1,0]": 0.3,
    "sigma": 2.0,
}


def _one_way(groups: int) -> Arrays:
    rng = np.random.default_rng(11)
    frame, _ = hm.datasets.simulate_one_way(
        groups=groups, size=sizes(groups, rng), **_ONE_WAY_TRUTH, seed=rng
    )
    return {"y": frame["y"].to_numpy(), "jj": frame["group"].to_numpy() - 1}


def _varying_slopes(groups: int) -> Arrays:
    rng = np.random.default_rng(12)
    frame, _ = hm.datasets.simulate_varying_slopes(
        groups=groups,
        size=sizes(groups, rng),
        mu=(_SLOPES_TRUTH["mu[0]"], _SLOPES_TRUTH["mu[1]"]),
        tau=(_SLOPES_TRUTH["tau[0]"], _SLOPES_TRUTH["tau[1]"]),
        Omega=_SLOPES_TRUTH["Omega[1,0]"],
        sigma=_SLOPES_TRUTH["sigma"],
        seed=rng,
    )
    return {
        "y": frame["y"].to_numpy(),
        "x": frame["x1"].to_numpy(),
        "jj": frame["group"].to_numpy() - 1,
    }


def _write_parquet(path: Path, groups: int) -> None:
    """One-way data with columns ``group`` (from 1) and ``y``, block by block of groups."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(13)
    fields = [pa.field("group", pa.int32()), pa.field("y", pa.float64())]
    schema = pa.schema(fields, metadata={"groups": str(groups)})
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, groups, _BLOCK):
            count = min(_BLOCK, groups - first)
            frame, _ = hm.datasets.simulate_one_way(
                groups=count, size=sizes(count, rng), **_ONE_WAY_TRUTH, seed=rng
            )
            group = (frame["group"].to_numpy() + first).astype(np.int32)
            block = pa.table([group, frame["y"].to_numpy()], schema=schema)
            writer.write_table(block)


_ONE_WAY: Priors = {"mu": ["normal", 0, 5], "tau": ["half_normal", 5], "sigma": ["half_normal", 5]}

CASES = {
    case.name: case
    for case in (
        Case(
            name="eight_schools",
            title="eight schools",
            family="eight_schools",
            priors={"mu": ["normal", 0, 5], "tau": ["half_cauchy", 5]},
            groups=8,
            arrays=_eight_schools,
        ),
        Case(
            name="mathscore",
            title="one way, mathscore",
            family="one_way",
            priors={
                "mu": ["normal", 50, 10],
                "tau": ["half_normal", 10],
                "sigma": ["half_normal", 20],
            },
            groups=100,
            arrays=_mathscore,
        ),
        Case(
            name="exam",
            title="varying slopes, exam",
            family="varying_slopes",
            priors={
                "mu": ["normal", 0, 1],
                "tau": ["half_normal", 1],
                "sigma": ["half_normal", 1],
                "Omega": ["lkj", 2],
            },
            groups=65,
            arrays=_exam,
        ),
        Case(
            name="one_way_1e4",
            title="one way, 1e4 rows",
            family="one_way",
            priors=_ONE_WAY,
            groups=100,
            arrays=_one_way,
            peers=False,
            truth=_ONE_WAY_TRUTH,
        ),
        Case(
            name="one_way_1e6",
            title="one way, 1e6 rows",
            family="one_way",
            priors=_ONE_WAY,
            groups=10_000,
            arrays=_one_way,
            truth=_ONE_WAY_TRUTH,
        ),
        Case(
            name="slopes_1e6",
            title="varying slopes, 1e6 rows",
            family="varying_slopes",
            priors={
                "mu": ["normal", 0, 2],
                "tau": ["half_normal", 2],
                "sigma": ["half_normal", 5],
                "Omega": ["lkj", 2],
            },
            groups=10_000,
            arrays=_varying_slopes,
            truth=_SLOPES_TRUTH,
        ),
        Case(
            name="one_way_1e8",
            title="one way, 1e8 rows in Parquet",
            family="one_way",
            priors=_ONE_WAY,
            groups=1_000_000,
            peers=False,
            parquet=True,
            truth=_ONE_WAY_TRUTH,
        ),
    )
}
"""The cases by name, in the order of the table."""
