"""The command line: each command calls the package and prints what comes back.

Exit codes: 0 done; 1 a run that failed, or diagnostics that say no; 2 bad input; 130 interrupted,
143 terminated, 129 hung up.
Errors and warnings are one line each on standard error, with options as one types them here.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer

from ..errors import HierModelsError, HierModelsWarning
from ..system.termination import terminable
from . import check, compare, datasets, demo, doctor, fit, programs, resume
from .console import ENDS, one_line, printable, say
from .paths import LOOK

__all__ = ["app", "main"]

# Plain help: with rich's, square brackets in an example (mu[x]=...) would be taken for markup.
app = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(fit.app, name="fit")
app.add_typer(compare.app, name="compare")
app.add_typer(programs.cache_app, name="cache")
_COMMANDS: dict[str, Callable[..., None]] = {
    "report": compare.report,
    "resume": resume.resume,
    "summary": check.summary,
    "check": check.check,
    "demo": demo.demo,
    "datasets": datasets.datasets,
    "install-cmdstan": programs.install_cmdstan,
    "compile": programs.compile_programs,
    "doctor": doctor.doctor,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)

# click's base of usage errors: recent releases of typer carry click inside, older ones require it.
_UsageError: Any = typer.BadParameter.__mro__[2]


# ---- errors and warnings ------------------------------------------------------------------------

_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        # A label that the terminal's encoding lacks is no reason to fail.
        with suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    def warned(message: Warning | str, *_: Any, **__: Any) -> None:
        _say(f"warning: {one_line(message)}")

    with warnings.catch_warnings(), terminable():
        warnings.simplefilter("always", HierModelsWarning)
        warnings.showwarning = warned
        try:
            command = typer.main.get_command(app)
            code = command.main(arguments, prog_name="hiermodels", standalone_mode=False)
            sys.stdout.flush()
        except HierModelsError as error:
            return _fail(error, 2 if isinstance(error, ValueError | LookupError) else 1)
        except _UsageError as error:
            return _fail(error.format_message(), int(error.exit_code))
        except (KeyboardInterrupt, typer.Abort):
            return _ended(130)
        except SystemExit as ended:
            if ended.code not in ENDS:
                raise
            return _ended(int(ended.code), getattr(ended, "left", ""))
        except BrokenPipeError:
            # The reader has enough (`| head`); nothing may be flushed into the pipe at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except MemoryError as error:
            said = str(error) or "no more memory"
            return _fail(f"out of memory: {said}; ask for fewer draws, or --effects summary", 1)
        except OSError as error:
            advice = "make room, or write elsewhere" if error.errno in _FULL else LOOK
            return _fail(f"{error.filename or 'output'}: {error.strerror or error}; {advice}", 1)
    return _ended(code) if code in ENDS else code if isinstance(code, int) else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _fail(what: object, code: int) -> int:
    _say(f"error: {one_line(what)}")
    return code


def _ended(code: int, left: str = "") -> int:
    """Say what ended the process from outside, and what is left of its work."""
    with suppress(OSError):  # the terminal that hung up takes no more words
        _say(f"{ENDS[code]}{printable(left)}")
    return code


# ---- the top ------------------------------------------------------------------------------------


def _show_version(wanted: bool) -> None:
    if wanted:
        from ..version import __version__

        say(f"hiermodels {__version__}")
        raise typer.Exit(0)


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Hierarchical models: hand-written Stan programs, NUTS, ArviZ.

    Exit codes: 0 done; 1 a run that failed; 2 bad input; 130 interrupted;
    143 terminated (SIGTERM); 129 hung up (SIGHUP).

    \b
    Example:
      hiermodels demo
      hiermodels datasets mathscore -o scores.csv
      hiermodels fit one-way scores.csv --y mathscore --group school -o fit.nc
      hiermodels check fit.nc
      hiermodels report fit.nc -o report.html
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)
