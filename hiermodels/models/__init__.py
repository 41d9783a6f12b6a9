"""The three families: :class:`EightSchools`, :class:`OneWay`, :class:`VaryingSlopes`."""

from .base import Model
from .eight_schools import EightSchools
from .one_way import OneWay
from .varying_slopes import VaryingSlopes

__all__ = ["EightSchools", "Model", "OneWay", "VaryingSlopes"]
