"""The one list of models: what resume, containers, symbols and the command line go by."""

from __future__ import annotations

from .eight_schools import EightSchools
from .model import Model
from .one_way import OneWay
from .varying_slopes import VaryingSlopes

__all__ = ["MODELS"]

MODELS: dict[str, type[Model]] = {m.name: m for m in (EightSchools, OneWay, VaryingSlopes)}
"""Every class of models by its name, as the attributes of a container have it."""
