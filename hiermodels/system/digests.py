"""SHA-256 of values and of files: what compiled programs, archives and chains are known by."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

__all__ = ["of_file", "of_values"]


def of_values(content: object) -> str:
    """Give the SHA-256 of values, as JSON writes them."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def of_file(path: Path) -> str:
    """Give the SHA-256 of a file of any size."""
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            found.update(block)
    return found.hexdigest()
