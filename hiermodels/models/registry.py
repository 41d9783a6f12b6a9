"""The models there are, by name: the one list of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Model

__all__ = ["NAMES", "model_class"]

NAMES = ("EightSchools", "OneWay", "VaryingSlopes")


def model_class(name: str) -> type[Model]:
    """The class of a model, by one of these names."""
    from .eight_schools import EightSchools
    from .one_way import OneWay
    from .varying_slopes import VaryingSlopes

    return {cls.__name__: cls for cls in (EightSchools, OneWay, VaryingSlopes)}[name]
