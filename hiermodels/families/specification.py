"""What an engine needs of a model: its data, its priors, its pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from ..data.design import Design
    from ..priors.blocks import Priors

__all__ = ["Specification"]


class Specification(Protocol):
    """A model as engines see it; every model is one.

    Attributes
    ----------
    family : str
        Name of the model's class.
    design : Design
        The checked data.
    pooling : {"partial", "none", "complete"}
        Pooling strategy.
    priors : Priors
        The priors in force.
    """

    family: ClassVar[str]
    design: Design
    pooling: str
    priors: Priors
