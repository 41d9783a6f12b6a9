"""One file of named arrays and a few words about them: what saved statistics are.

NumPy's ``.npz``, without pickled objects: reading one from elsewhere runs none of its code.
"""

from __future__ import annotations

import json
import os
import tokenize
import uuid
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError

FORMAT = "hiermodels.sufficient_statistics.1"


def write(
    path: str | os.PathLike[str], about: Mapping[str, Any], arrays: Mapping[str, Any]
) -> Path:
    """Write a file that appears whole or not at all.

    Raises
    ------
    DataError
        It cannot be written.
    """
    path = Path(os.path.expanduser(path))
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    text = np.array(json.dumps({"format": FORMAT, **about}))
    for name, array in arrays.items():
        if array.dtype == object:
            raise DataError(
                f"statistics: {name} must be strings or integers below 2**64 to be written, got "
                "Python objects; make the labels strings"
            )
    try:
        with open(part, "xb") as file:
            np.savez(file, about=text, **arrays)
        os.replace(part, path)
    except OSError as error:
        raise DataError(
            f"statistics: {str(path)!r} could not be written: {error.strerror}; check the folder"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The words and the arrays that :func:`write` wrote.

    Raises
    ------
    DataError
        No such file, or one of another kind.
    """
    path = Path(os.path.expanduser(path))
    if not path.is_file():
        raise DataError(f"statistics: no such file {str(path)!r}; check the path")
    try:
        # Opened here, as NumPy leaves a damaged file open.
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            arrays = {name: file[name] for name in file.files if name != "about"}
        if about.pop("format") != FORMAT:
            raise wrong(path)
    except DataError:
        raise
    # All that a file of another kind, or half a file, may be to np.load and json.
    except (AttributeError, EOFError, IndexError, KeyError, OSError, TypeError) as error:
        raise wrong(path) from error
    except (ValueError, zipfile.BadZipFile) as error:
        raise wrong(path) from error
    # One byte may make it encrypted, packed in another way, or a head that is no Python.
    except (RuntimeError, tokenize.TokenError, zlib.error) as error:
        raise wrong(path) from error
    return about, arrays


def wrong(path: str | os.PathLike[str]) -> DataError:
    """That a file holds no statistics."""
    return DataError(
        f"statistics: {str(path)!r} must be a whole file that SufficientStatistics.save wrote in "
        "this version's format; make it again from the data"
    )
