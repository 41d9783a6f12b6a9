"""Response distributions: ``hm.families.Gaussian(sigma="group")``, ``hm.families.KnownErrors``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import OptionError
from .family import Family
from .gaussian.family import Gaussian
from .gaussian.known_errors import KnownErrors

__all__ = [
    "FAMILIES",
    "Family",
    "Gaussian",
    "KnownErrors",
    "named",
    "of_attributes",
    "one_row_per_group",
]

FAMILIES: dict[str, type[Family]] = {f.name: f for f in (Gaussian, KnownErrors)}
"""Every family by its name, as the attributes of a container have it."""


def named(name: str, options: dict[str, Any]) -> Family:
    """A family by its name and its options.

    Raises
    ------
    OptionError
        The name is unknown.
    """
    if name not in FAMILIES:
        raise OptionError(
            f"there is no family {name!r}; there are {', '.join(FAMILIES)}; "
            "hm.families.FAMILIES[name] = ... adds one that is defined elsewhere"
        )
    return FAMILIES[name](**options)


def one_row_per_group(attrs: Mapping[str, Any]) -> bool:
    """Whether each group of a fit is one row, an estimate, by its container's attributes."""
    return "family" not in attrs and of_attributes(attrs).estimates


def of_attributes(attrs: Mapping[str, Any]) -> Family:
    """The family of a fit, from what its container's attributes say.

    Raises
    ------
    OptionError
        It is not one of :data:`FAMILIES`.
    """
    if "family" in attrs:
        return named(str(attrs["family"]), json.loads(attrs["family_options"]))
    columns = json.loads(str(attrs.get("columns", "{}")))
    if "se" in columns:
        return KnownErrors(columns["se"])
    return Gaussian(columns.get("sigma", "common"))
