"""What comes of a fit on the command line: it is saved and shown, or one is told how to go on."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ContainerError, OptionError, SamplingError, in_shell
from .console import ENDS, free, say, summary_table
from .paths import NETCDF, check_output, word

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["carry_out", "check_options", "picked_up"]

_MOST_ROWS = 40  # a summary that is longer is shown without the groups


def check_options(output: Path | None, quiet: bool, source: Path | None = None) -> None:
    """Refuse a fit whose result would be lost."""
    if quiet and output is None:
        raise OptionError(
            f"--quiet needs --output: nothing would be left of the fit; add -o {free('fit.nc')}"
        )
    check_output(output, NETCDF, source)


def carry_out(
    fit: Callable[[], Any],
    *,
    output: Path | None,
    quiet: bool,
    folder: Path | None,
    stem: str | None = None,
) -> None:
    """Run a fit, save it in ``output`` and show it; the rest as in :func:`picked_up`."""
    import hiermodels

    from ..container import netcdf

    with picked_up(folder, output, stem):
        idata = fit()
        saved = None if output is None else netcdf.save(idata, output)
    if not quiet:
        _show(hiermodels.summary(idata), hiermodels.check(idata), saved)


@contextmanager
def picked_up(folder: Path | None, output: Path | None, stem: str | None = None) -> Iterator[None]:
    """Say what is kept of a fit that is ended from outside, or whose chains fail; how one goes on.

    ``folder`` keeps the fit's files, ``output`` is where it was to be saved, and ``stem`` names a
    fit in the folder: by default the one that begins now.
    """
    from ..engines.nuts import checkpoints

    place = None if folder is None else Path(os.path.expanduser(folder))
    before = [] if place is None else checkpoints.stems(place)

    def left() -> tuple[str, str] | None:
        """How many chains the folder keeps, and the command that goes on with them."""
        if folder is None or place is None:
            return None
        there = checkpoints.stems(place)
        # Another process may begin one there too: the names hold the number of the process.
        mine = [s for s in there if s not in before and f"-{os.getpid()}-" in s]
        for one in [stem] if stem else mine:
            with suppress(OptionError):
                done, chains = checkpoints.progress(place, one)
                which = one if len(there) > 1 else None
                to = free("fit.nc", place) if output is None else output
                return f"{done} of {chains} chains", _resumption(folder, which, to)
        return None

    try:
        try:
            yield
        except SamplingError as error:
            kept = left()
            raise SamplingError(_failed(error, folder, output, kept[1] if kept else "")) from error
    except (KeyboardInterrupt, SystemExit) as end:  # while the chains that finished are saved, too
        code = 130 if isinstance(end, KeyboardInterrupt) else end.code
        if code not in ENDS or folder is None:
            raise
        ended, kept = SystemExit(code), left()
        ended.left = f"; {kept[0]} are kept; next: {kept[1]}" if kept else ""  # type: ignore[attr-defined]
        raise ended from end


def _resumption(folder: Path, fit: str | None, output: Path) -> str:
    """The command that goes on with a fit."""
    which = f" --fit {word(fit)}" if fit else ""
    return f"hiermodels resume {word(folder)}{which} -o {word(output)}"


def _failed(error: SamplingError, folder: Path | None, output: Path | None, command: str) -> str:
    """Which chains failed, where the others are kept, and the next step, in words typed here."""
    if not error.failures:
        return in_shell(error)
    if error.idata is None:
        again = f"\nall can be run again, with the same seeds; next: {command}" if command else ""
        return f"no chain finished:\n{error.failures}{again}"
    kept, lost = [], ""
    if output is not None:
        from ..container import netcdf

        file = output.with_name(f"{output.stem}-unfinished{output.suffix}")
        try:
            kept.append(shlex.quote(str(netcdf.save(error.idata, file))))
        except ContainerError as why:
            lost = f"; {why}"
    elif folder is None:
        lost = ", as neither -o nor --output-dir says where"
    if command:
        kept.append(f"the folder {shlex.quote(str(folder))}")
    where = f"are kept in {' and in '.join(kept)}" if kept else "are not kept"
    step = (
        f"--allow-failed-chains goes on without those that fail; next: {command}"
        if command
        else "next: the same with --allow-failed-chains, which goes on without those that fail"
    )
    return f"{error.failures}\nthe chains that finished {where}{lost}; {step}"


def _show(summary: pd.DataFrame, diagnostics: Any, saved: Path | None) -> None:
    """Print what came of a fit, and where it is."""
    shown = summary
    if len(summary) > _MOST_ROWS:
        shown = summary[~summary.index.str.match(r"(theta|deviation|eta)\[")]
        shown = shown if len(shown) <= _MOST_ROWS else shown[: _MOST_ROWS // 2]
    say()
    summary_table(shown)
    if len(shown) < len(summary):
        say(f"... and {len(summary) - len(shown)} more rows: `hiermodels summary` shows them")
    say()
    say(diagnostics.verdict)
    if saved is None:
        say(f"The fit is not saved; -o {free('fit.nc')} saves it.")
    else:
        say(f"The fit is in {saved}; next: hiermodels check {word(saved)}")
