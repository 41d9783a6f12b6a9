"""``hiermodels compare``, one command per model, and ``hiermodels report``."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import in_shell
from . import fit as cli_fit
from .console import free, printable, say
from .paths import PAGE, check_output, to_read, to_write

__all__ = ["app", "report"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)


def _options(
    prior: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FAMILY(NUMBERS)",
            help="A prior in place of the default, in quotes: 'tau=HalfCauchy(5)'. Repeatable.",
        ),
    ] = None,
    missing: Annotated[
        str, typer.Option(metavar="raise|drop", help="Rows with missing values.")
    ] = "raise",
    engine: Annotated[
        str,
        typer.Option(
            metavar="auto|exact|nuts", help="auto: exact draws where there are, else NUTS."
        ),
    ] = "auto",
    refit: Annotated[
        str | None,
        typer.Option(metavar="bad", help="Fit again without each that has a bad Pareto k."),
    ] = None,
    chains: Annotated[int, typer.Option(metavar="N")] = 4,
    draws: Annotated[int, typer.Option(metavar="N", help="Draws kept of each chain.")] = 1000,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Makes the comparison reproducible.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="REPORT.html",
            parser=to_write,
            help="Where a report is written, with pictures.",
        ),
    ] = None,
) -> None:
    """Options of every family."""


def _compare(
    file: Path,
    family: str,
    columns: dict[str, Any],
    *,
    prior: list[str] | None,
    missing: str,
    output: Path | None,
    **settings: Any,
) -> None:
    check_output(output, PAGE, file)
    priors = cli_fit.read_priors(prior or [])

    import hiermodels

    from ..comparison.pooling_comparison import text

    model = getattr(hiermodels, family)(file, **columns, missing=missing)
    # Priors that only another strategy has a use for wait until it is fitted.
    model = model.replace(pooling=model.pooling, priors=priors)
    usual = {"chains": 4, "draws": 1000}
    given = {k: v for k, v in settings.items() if v != usual.get(k)}
    pools = hiermodels.compare_pooling(model, **given)
    # First the file: the reader of the rest may have enough of it (`| head`).
    written = None if output is None else hiermodels.report(pools, output)
    for line in text(pools, in_shell).split("\n"):
        say(printable(line))
    say()
    if written is None:
        say(f"No report is written; -o {free('report.html')} writes one, with pictures.")
    else:
        say(f"The report is in {written}")


_EXAMPLES = {
    "eight-schools": """\
  hiermodels datasets eight_schools -o schools.csv
  hiermodels compare eight-schools schools.csv \\
      --effect effect --se se --group school -o report.html""",
    "one-way": """\
  hiermodels datasets mathscore -o scores.csv
  hiermodels compare one-way scores.csv \\
      --y mathscore --group school -o report.html""",
    "varying-slopes": """\
  hiermodels datasets exam -o exam.csv
  hiermodels compare varying-slopes exam.csv --y normexam \\
      --group school --varying standLRT -o report.html""",
}

for _name, _columns in cli_fit.FAMILIES.items():
    _what = inspect.getdoc(_columns).partition("\n")[0]  # type: ignore[union-attr]
    _help = f"{_what}\n\n\b\nExample:\n{_EXAMPLES[_name]}"
    app.command(_name)(cli_fit.command_of(_columns, _options, _compare, _help))


@app.callback(invoke_without_command=True)
def _compare_top(context: typer.Context) -> None:
    """Compare no, partial and complete pooling of one data file.

    \b
    Example:
      hiermodels compare one-way scores.csv --y mathscore --group school \\
          -o report.html
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def report(
    fit: Annotated[
        Path,
        typer.Argument(metavar="FIT.nc", parser=to_read, help="A fit saved by -o, or by ArviZ."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="REPORT.html",
            parser=to_write,
            help="Where the report is written.",
        ),
    ],
    title: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Its heading.", show_default="what was fitted"),
    ] = None,
) -> None:
    """Write a report of a fit, with pictures, as one HTML page.

    \b
    Example:
      hiermodels report fit.nc -o report.html
    """
    check_output(output, PAGE, fit, "input file")

    import hiermodels

    idata = hiermodels.load(fit)
    say(f"The report is in {hiermodels.report(idata, output, title=title)}")
