"""What can go wrong, and how it is said.

::

    HierModelsError
    ├── DataError (ValueError)             the data frame, its columns, its rows
    │   └── ColumnError (LookupError)      a column that is not there
    ├── OptionError (ValueError)           an argument of the wrong kind or value
    ├── PriorError (ValueError)            a prior of the wrong distribution or with wrong numbers
    │   └── ImproperPosteriorError         priors under which there is no posterior
    ├── ContainerError (ValueError)        an ArviZ container or file that lacks what is asked of it
    ├── DatasetError (LookupError)         a data set that is not there
    ├── FrozenError (AttributeError)       an attempt to change a model
    ├── CmdStanError (RuntimeError)        CmdStan missing, broken, or not to be installed
    │   └── ToolchainError                 no C++ compiler, or no make
    ├── CompileError (RuntimeError)        a Stan program that does not compile
    ├── SamplingError (RuntimeError)       chains that did not finish
    ├── ExactError (RuntimeError)          a posterior that the exact engine cannot give
    └── ManyFitsError (RuntimeError)       data sets, of many, that were not fitted

    HierModelsWarning (UserWarning)
    ├── DataWarning                        rows dropped, groups that the data cannot inform
    └── DiagnosticWarning                  divergences, low effective sample size, high R-hat

Each error is also the built-in error that a user would catch. A message names the thing, the
requirement, what came, and the next step.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable
from typing import Any

__all__ = [
    "CmdStanError",
    "ColumnError",
    "CompileError",
    "ContainerError",
    "DataError",
    "DataWarning",
    "DatasetError",
    "DiagnosticWarning",
    "ExactError",
    "FrozenError",
    "HierModelsError",
    "HierModelsWarning",
    "ImproperPosteriorError",
    "ManyFitsError",
    "Message",
    "OptionError",
    "PriorError",
    "SamplingError",
    "ToolchainError",
]


class Message(str):
    """A message that names options: the text spells them for Python, ``shell`` for the shell.

    What is added to it stands in both: ``"use " + option("engine", "nuts")``.

    Attributes
    ----------
    shell : str
        The same for the command line.
    """

    shell: str

    def __new__(cls, python: str, shell: str) -> Message:
        """Take both spellings."""
        made = super().__new__(cls, python)
        made.shell = shell
        return made

    def __add__(self, other: str) -> Message:
        return Message(str(self) + str(other), self.shell + in_shell(other))

    def __radd__(self, other: str) -> Message:
        return Message(str(other) + str(self), in_shell(other) + self.shell)

    def removeprefix(self, prefix: str, /) -> Message:
        """Leave the prefix away where a spelling begins with it."""
        return Message(str(self).removeprefix(prefix), self.shell.removeprefix(prefix))

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override] # str's has one
        return str(self), self.shell


def option(name: str, *value: object) -> Message:
    """An option, or an option with its value: ``draws=4000`` and ``--draws 4000``."""
    python = "=".join([name, *map(repr, value)])
    return Message(python, " ".join([f"--{name.replace('_', '-')}", *map(_quoted, value)]))


def _quoted(value: object) -> str:
    return shlex.quote(str(value))


def in_shell(message: object) -> str:
    """An error, a warning or a text, with the options as one types them in the shell."""
    if isinstance(message, BaseException) and message.args:
        message = message.args[0]
    return message.shell if isinstance(message, Message) else str(message)


class HierModelsError(Exception):
    """The root of every error that this package raises on purpose."""


class DataError(HierModelsError, ValueError):
    """The data frame, one of its columns, or its rows cannot be used."""


class ColumnError(DataError, LookupError):
    """A column is asked for that the data frame does not have."""


class OptionError(HierModelsError, ValueError):
    """An argument has the wrong type or a value that it cannot take."""


class PriorError(HierModelsError, ValueError):
    """A prior has the wrong distribution for its parameter, or wrong numbers."""


class ImproperPosteriorError(PriorError):
    """The priors leave a posterior whose integral is infinite."""


class ContainerError(HierModelsError, ValueError):
    """An ArviZ container, or a file that should hold one, lacks what is asked of it."""


class DatasetError(HierModelsError, LookupError):
    """A data set does not exist, or the package that carries it is not installed."""


class FrozenError(HierModelsError, AttributeError):
    """A model cannot be changed; ``model.replace(...)`` gives another."""


class CmdStanError(HierModelsError, RuntimeError):
    """CmdStan is missing, broken, too old, or could not be installed."""


class ToolchainError(CmdStanError):
    """The C++ compiler or make is missing or does not work."""


class CompileError(HierModelsError, RuntimeError):
    """A Stan program did not compile."""


class SamplingError(HierModelsError, RuntimeError):
    """One or more chains did not finish.

    Attributes
    ----------
    idata : container or None
        The chains that finished, in the installed ArviZ's container, or None.
    failures : str
        One line for each chain that did not finish, without the next step.
    """

    def __init__(self, message: str, idata: Any = None, failures: str = "") -> None:
        super().__init__(message)
        self.idata = idata
        self.failures = failures


class ExactError(HierModelsError, RuntimeError):
    """There is no exact answer for this posterior: what was tried, and what to use instead."""


class ManyFitsError(HierModelsError, RuntimeError):
    """Of many data sets, one or more were not fitted.

    Attributes
    ----------
    result : ManyFits or None
        All results, the failures included.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class HierModelsWarning(UserWarning):
    """The root of every warning that this package gives."""


class DataWarning(HierModelsWarning):
    """Something about the data that changes how the answer is to be read."""


class DiagnosticWarning(HierModelsWarning):
    """Something about the draws that changes how far they are to be trusted."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Near misses of ``name`` as the end of a message: ``; did you mean 'school'?``, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=2, cutoff=0.6)
    if not near:
        # Case and surrounding blanks are the misses that the ratio does not see as near.
        near = [k for k in known if k.strip().casefold() == name.strip().casefold()]
    return f"; did you mean {' or '.join(map(_name, near))}?" if near else ""


def shown(value: object, most: int = 60) -> str:
    """What came, on one line and not too long: a frame's or an array's own text has many."""
    text = " ".join(repr(value).split())
    if len(text) <= most:
        return text
    return f"a {type(value).__name__} ({text[: most - 4]} ...)"


def count_of(number: int, noun: str) -> str:
    """A number with its noun: ``1 chain``, ``4 chains``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def one_line(error: BaseException) -> str:
    """What an error says, on one line: HDF5's and ArviZ's have many."""
    text = " ".join(str(error).split())
    return text or type(error).__name__


def listed(items: Iterable[object], most: int = 8) -> str:
    """Name items in a message, at most ``most`` of them: ``'A', 'B' and 3 more``."""
    names = [_name(i) for i in items]
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def _name(item: object, most: int = 100) -> str:
    """A name as it is quoted in a message; a damaged file has names without end."""
    # NumPy's strings would print as np.str_('A').
    text = repr(str(item)) if isinstance(item, str) else str(item)
    return text if len(text) <= most else f"{text[: most // 2]}... ({len(text)} letters)"


def refuse_without_marginal(family: object, what: str, instead: str) -> None:
    """Refuse what needs group effects that integrate out, for a family whose effects do not.

    All such refusals are this one. A model asks by its family
    (:func:`hiermodels.families.family.refuse_without_marginal`), a container by its attribute
    ``family``, which only fits of such families have.

    Parameters
    ----------
    family : object
        The family or its name; None has a closed form.
    what : str
        What was asked for, as the subject of the message.
    instead : str
        What can be used in its stead.

    Raises
    ------
    OptionError
        There is no closed form.
    """
    if family is not None:
        raise OptionError(
            what + f" needs group effects that integrate out in closed form, as those of a "
            f"Gaussian family do; those of the family {family} do not: " + instead
        )
