"""The three models: :class:`EightSchools`, :class:`OneWay`, :class:`VaryingSlopes`."""

from .eight_schools import EightSchools
from .model import Model
from .one_way import OneWay
from .varying_slopes import VaryingSlopes

__all__ = ["EightSchools", "Model", "OneWay", "VaryingSlopes"]
