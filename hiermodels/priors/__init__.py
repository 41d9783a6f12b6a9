"""Prior distributions, and the parameters that they are of."""

from __future__ import annotations

from .distributions import (
    FAMILIES,
    LKJ,
    Exponential,
    Flat,
    GammaPrecision,
    HalfCauchy,
    HalfNormal,
    HalfT,
    InverseGamma,
    LogFlat,
    Normal,
    Prior,
    StudentT,
    Uniform,
)

__all__ = [
    "FAMILIES",
    "LKJ",
    "Exponential",
    "Flat",
    "GammaPrecision",
    "HalfCauchy",
    "HalfNormal",
    "HalfT",
    "InverseGamma",
    "LogFlat",
    "Normal",
    "Prior",
    "StudentT",
    "Uniform",
]
