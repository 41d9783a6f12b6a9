"""One file of named arrays and a few words about them: what saved statistics are.

NumPy's ``.npz``, without pickled objects: reading one from elsewhere runs no code of its own.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import tokenize
import uuid
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ...errors import DataError

FORMAT = "hiermodels.sufficient_statistics.2"
READ = ("hiermodels.sufficient_statistics.1", FORMAT)


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
        with suppress(OSError):  # in a closed folder not even what is not there can be removed
            part.unlink(missing_ok=True)
    return path


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The words and the arrays that :func:`write` wrote.

    Raises
    ------
    DataError
        No such file, or one that cannot be read, or one of another kind.
    """
    path = Path(os.path.expanduser(path))
    # Opened here, as NumPy leaves a damaged file open.
    with _opened(path) as raw:
        return _read(path, raw)


def _opened(path: Path) -> BinaryIO:
    try:
        if stat.S_ISREG(os.stat(path).st_mode):  # not a pipe, whose end may never come
            return open(path, "rb")
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last of a name with a NUL
        pass
    except OSError as error:
        raise _unread(path, error) from error
    raise DataError(f"statistics: no such file {str(path)!r}; check the path")


def _read(path: Path, raw: BinaryIO) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        with np.load(raw, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            arrays = {name: file[name] for name in file.files if name != "about"}
        if about.pop("format") not in READ:
            raise wrong(path)
    except DataError:
        raise
    # All that a file of another kind, or half a file, may be to np.load and json.
    except (AttributeError, EOFError, IndexError, KeyError, TypeError) as error:
        raise wrong(path) from error
    except OSError as error:
        # A place that cannot be is one of damage; any other number is of the disk.
        if error.errno in (None, errno.EINVAL):
            raise wrong(path) from error
        raise _unread(path, error) from error
    except (ValueError, zipfile.BadZipFile) as error:
        raise wrong(path) from error
    # One byte may make it encrypted, packed in another way, or a head that is no Python.
    except (RuntimeError, tokenize.TokenError, zlib.error) as error:
        raise wrong(path) from error
    return about, arrays


def _unread(path: Path, error: OSError) -> DataError:
    closed = isinstance(error, PermissionError)
    step = "see whose it is, and its mode (`ls -ld`)" if closed else "see to that, and try again"
    return DataError(f"statistics: {str(path)!r} cannot be read ({error.strerror}); {step}")


def wrong(path: str | os.PathLike[str]) -> DataError:
    """That a file holds no statistics."""
    return DataError(
        f"statistics: {str(path)!r} must be a whole file that SufficientStatistics.save wrote in "
        "this version's format; make it again from the data"
    )
