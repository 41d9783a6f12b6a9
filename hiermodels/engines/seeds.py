"""The seed of a fit, from which all of its random numbers follow."""

from __future__ import annotations

from typing import Any

import numpy as np

from .nuts import sampling

__all__ = ["checked"]


def checked(given: Any) -> int:
    """The seed that was given, checked, or a fresh one."""
    if given is None:
        return int(np.random.SeedSequence().generate_state(1)[0]) >> 1
    return sampling.Settings(seed=given).seed
