"""SHA-256 of values and of files: what compiled programs, archives and chains are known by."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

__all__ = ["of_file", "of_values"]


def of_values(content: object) -> str:
    """Give the SHA-256 of values, as JSON writes them."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def of_file(path: Path, size: int | None = None) -> str:
    """Give the SHA-256 of a file of any size, or of as many bytes of it, from its start."""
    found = hashlib.sha256()
    left = sys.maxsize if size is None else size
    with path.open("rb") as stream:
        while block := stream.read(min(1 << 20, left)):
            found.update(block)
            left -= len(block)
    return found.hexdigest()
