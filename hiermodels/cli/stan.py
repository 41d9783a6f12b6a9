"""``hiermodels install-cmdstan``, ``compile``, ``cache`` and ``doctor``: what a fit needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import printable, say, show, table
from .paths import to_write

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["cache_app", "compile_programs", "doctor", "install_cmdstan"]

cache_app = typer.Typer(rich_markup_mode=None, add_completion=False)
_Jobs = Annotated[
    int | None, typer.Option(metavar="N", help="Compilers at once.", show_default="processors")
]
_Programs = Annotated[
    list[str] | None, typer.Argument(metavar="[PROGRAM]...", show_default="all of them")
]


def install_cmdstan(
    source: Annotated[
        str | None, typer.Option(metavar="auto|github|pypi", show_default="auto")
    ] = None,
    version: Annotated[
        str | None, typer.Option(metavar="V", help="Such as 2.35.0.", show_default="current")
    ] = None,
    jobs: _Jobs = None,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", metavar="FOLDER", parser=to_write, show_default="~/.cmdstan"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Even where that version is installed.")
    ] = False,
) -> None:
    """Find CmdStan, or download and build it.

    Where CmdStan is there already, it is named and left as it is; --version, --source, --dir and
    --overwrite install one all the same.

    \b
    Example:
      hiermodels install-cmdstan --jobs 2
    """
    from ..stan import cmdstan

    if source is None and version is None and directory is None and not overwrite:
        found = cmdstan.ensure(jobs=jobs)
    else:
        found = cmdstan.install(
            source=source or "auto",
            version=version,
            jobs=jobs,
            directory=directory,
            overwrite=overwrite,
        )
    say(f"CmdStan {found.version_text}: {found.path}")


def compile_programs(programs: _Programs = None, jobs: _Jobs = None) -> None:
    """Compile Stan programs before a fit needs them.

    \b
    Example:
      hiermodels compile one_way_centered one_way_noncentered
    """
    from ..stan import cache
    from ..stan import programs as stan_programs
    from ..stan import wheel as shipped

    done = stan_programs.compile_all(programs or None, jobs=jobs)
    what = "program is" if len(done) == 1 else "programs are"
    came = sum(one.path.is_relative_to(shipped.folder()) for one in done)
    if came < len(done):
        say(f"{len(done)} {what} compiled, in {cache.place()}")
    if came:
        say(f"{came} came compiled with the package, in {shipped.folder()}")


@cache_app.callback(invoke_without_command=True)
def _cache(context: typer.Context) -> None:
    """Show or clear the compiled Stan programs.

    \b
    Example:
      hiermodels cache
      hiermodels cache clear eight_schools_centered
    """
    if context.invoked_subcommand is None:
        _cache_show()


@cache_app.command("show")
def _cache_show() -> None:
    """List the compiled programs, as `hiermodels cache` does.

    \b
    Example:
      hiermodels cache show
    """
    from ..stan import cache

    entries = cache.entries()
    if entries:
        rows = [
            [
                e.name,
                e.cmdstan_version or "?",
                f"{e.created.astimezone():%Y-%m-%d %H:%M}",
                "" if e.ok else "damaged",
                f"{e.size / 1e6:.1f} MB",
            ]
            for e in entries
        ]
        table(["program", "CmdStan", "compiled", "", "size"], rows, left=4)
    total = sum(e.size for e in entries) / 1e6
    say(f"{len(entries)} compiled programs, {total:.1f} MB, in {cache.place()}")


@cache_app.command("clear")
def _cache_clear(programs: _Programs = None) -> None:
    """Remove compiled programs; the next fit compiles what it needs.

    \b
    Example:
      hiermodels cache clear eight_schools_centered
    """
    from ..stan import programs as stan_programs

    freed = stan_programs.clear(programs or None) / 1e6
    say(f"{freed:.1f} MB freed in {stan_programs.cache_folder()}")


def doctor() -> None:
    """Look for all that a fit needs.

    It says what was found on this machine, and what to do about what is missing. The exit code is
    1 where a fit could not run.

    \b
    Example:
      hiermodels doctor
    """
    from rich.table import Table
    from rich.text import Text

    from .doctor import examine

    findings = examine()
    grid: Table = Table.grid(padding=(0, 2, 0, 0))
    for column in ("mark", "name", "what"):
        grid.add_column(column, overflow="fold", no_wrap=column != "what")
    for f in findings:
        mark = ("ok", "green") if f.ok else ("BAD", "bold red") if f.needed else ("note", "yellow")
        grid.add_row(Text(*mark), Text(f.name), Text(printable(f.found)))
        if f.advice:
            grid.add_row("", "", Text(f"-> {printable(f.advice)}"))
    show(grid, 60)
    missing = [f.name for f in findings if f.needed and not f.ok]
    say()
    if missing:
        say(f"Missing: {', '.join(missing)}. What to do stands after the arrows.")
        raise typer.Exit(1)
    say("All that a fit needs is there.")
