"""Data to learn on: two classics, one stand-in, and a simulator for each model.

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

from .examples import describe, eight_schools, exam, load, mathscore
from .simulators import Simulated, simulate_eight_schools, simulate_one_way, simulate_varying_slopes

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
