"""Numbers as text: what readers of CSV files take for one."""

from __future__ import annotations

import re

__all__ = ["COMMAS", "NUMBER", "is_number"]

# Every engine's regular expressions have these signs; pandas' and Dask's warn of groups.
NUMBER = (
    r"^\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*$"
    r"|^\s*[+-]?(?:[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN])\s*$"
)
COMMAS = re.compile(r"\s*[+-]?\d*(\.?\d{3})*,\d+(,\d{3})*(\.\d*)?\s*", re.ASCII)
"""A number but for commas, as decimal sign or between thousands."""


def is_number(text: str) -> bool:
    """Whether a text is a number as readers of CSV files take it."""
    return re.match(NUMBER, text) is not None
