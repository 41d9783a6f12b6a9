"""``hiermodels install-cmdstan``, ``compile`` and ``cache``: CmdStan and the executables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import say, table
from .paths import to_write

__all__ = ["cache_app", "compile_programs", "install_cmdstan"]

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
    from ..stan import programs as stan
    from ..stan import wheel as shipped

    done = stan.compile_all(programs or None, jobs=jobs)
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
    from ..stan import programs as stan

    say(f"{stan.clear(programs or None) / 1e6:.1f} MB freed in {stan.cache_folder()}")
