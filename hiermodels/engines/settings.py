"""What an engine is told: chains, draws, the seed and how NUTS adapts; checked once, for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import OptionError, shown, suggest

__all__ = ["METRICS", "MOST_DRAWS", "Settings", "checked_seed", "whole"]

METRICS = ("diag", "dense", "unit")
MOST_DRAWS = 10**8  # 0.8 GB for each number that is drawn


@dataclass(frozen=True)
class Settings:
    """What NUTS is told.

    Attributes
    ----------
    chains, draws, warmup : int
        Chains; draws kept of each; warmup iterations before them.
    seed : int
        Seed of CmdStan's generators, 0 to 2^31 - 1; each chain has its own stream.
    adapt_delta : float
        Target acceptance rate of the step size's adaptation, in (0, 1).
    max_treedepth : int
        A trajectory has at most 2^max_treedepth - 1 leapfrog steps.
    metric : {"diag", "dense", "unit"}
        Shape of the inverse mass matrix.
    save_warmup : bool
        Whether the warmup's draws are kept as well.
    """

    chains: int = 4
    draws: int = 1000
    warmup: int = 1000
    seed: int = 0
    adapt_delta: float = 0.8
    max_treedepth: int = 10
    metric: str = "diag"
    save_warmup: bool = False

    def __post_init__(self) -> None:
        whole("chains", self.chains, 1)
        whole("draws", self.draws, 1)
        whole("warmup", self.warmup, 0)
        if self.chains * int(self.draws) > MOST_DRAWS:
            raise OptionError(
                f"chains times draws must be at most {MOST_DRAWS:g}, got {self.chains} times "
                f"{self.draws}; a few thousand in all are enough for most questions"
            )
        whole("seed", self.seed, 0, 2**31 - 1)
        whole("max_treedepth", self.max_treedepth, 1, 30)
        if isinstance(self.adapt_delta, bool) or not isinstance(
            self.adapt_delta, (int, float, np.number)
        ):
            raise OptionError(f"adapt_delta must be a number, got {shown(self.adapt_delta)}")
        if not 0 < self.adapt_delta < 1:
            raise OptionError(
                f"adapt_delta must lie between 0 and 1, got {self.adapt_delta}; 0.8 is usual, "
                "0.99 is careful"
            )
        if not isinstance(self.metric, str) or self.metric not in METRICS:
            raise OptionError(
                f"metric must be one of {', '.join(map(repr, METRICS))}, got {shown(self.metric)}"
                f"{suggest(str(self.metric), METRICS)}"
            )
        if not isinstance(self.save_warmup, bool):
            raise OptionError(f"save_warmup must be True or False, got {self.save_warmup!r}")


def whole(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Refuse what is not a whole number between these bounds."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise OptionError(f"{name} must be a whole number, got {shown(value)}")
    if value < low or (high is not None and value > high):
        bound = f"at least {low}" if high is None else f"from {low} to {high}"
        raise OptionError(f"{name} must be {bound}, got {value}")


def checked_seed(given: Any) -> int:
    """The seed that was given, checked, or a fresh one."""
    if given is None:
        return int(np.random.SeedSequence().generate_state(1)[0]) >> 1
    return Settings(seed=given).seed
