"""``hiermodels fit``: one command per model, with the options of all fits."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import PriorError, shown, suggest
from .console import printable, say
from .outcome import carry_out, check_options
from .paths import to_read, to_write

if TYPE_CHECKING:
    from ..priors.distributions import Prior

__all__ = ["FAMILIES", "app", "command_of", "read_priors"]

# Plain help: with rich's, square brackets in an example (mu[x]=...) would be taken for markup.
app = typer.Typer(rich_markup_mode=None, add_completion=False)


# ---- priors -------------------------------------------------------------------------------------

_PRIOR = re.compile(r"\s*(\w+)\s*(?:\[(.*)\])?\s*=\s*(\w+)\s*\(([^()]*)\)\s*")


def read_priors(given: Sequence[str]) -> dict[str, Any]:
    """Read ``tau=HalfCauchy(5)`` and ``mu[x]=Normal(0, 1)``; numbers only, nothing is evaluated."""
    priors: dict[str, Any] = {}
    for text in given:
        match = _PRIOR.fullmatch(text)
        if match is None:
            raise PriorError(
                f"--prior must read NAME=FAMILY(NUMBERS), as tau=HalfCauchy(5) or "
                f"'mu[x]=Normal(0, 1)' does; got {shown(text)}"
            )
        name, element, family, numbers = match.groups()
        prior = _prior(text, family, numbers)
        if element is None:
            if name in priors:
                raise PriorError(f"--prior: {name} has a prior already, got {shown(text)} as well")
            priors[name] = prior
            continue
        by_element = priors.setdefault(name, {})
        if not isinstance(by_element, dict) or element in by_element:
            raise PriorError(f"--prior: {name}[{element}] has one already, got {shown(text)} too")
        by_element[element] = prior
    return priors


def _prior(text: str, family: str, numbers: str) -> Prior:
    from ..priors import distributions as priors

    kinds = priors.FAMILIES
    if family not in kinds:
        raise PriorError(
            f"--prior: there is no family {shown(family)}, in {shown(text)}; there are "
            f"{', '.join(kinds)}{suggest(family, kinds)}"
        )
    parameters = inspect.signature(kinds[family]).parameters
    takes = [n for n, p in parameters.items() if p.kind is not inspect.Parameter.VAR_POSITIONAL]
    values: dict[str, float] = {}
    if len(takes) < len(parameters) and numbers.count(",") == 1 and "=" not in numbers:
        # Uniform(0, 10) is Uniform(10): a standard deviation begins at 0.
        first, _, rest = numbers.partition(",")
        numbers = rest if first.strip() in ("0", "0.0") else numbers
    if family == "Uniform" and not re.fullmatch(r"\s*(upper\s*=)?[^,=]*", numbers):
        raise PriorError(
            "--prior: Uniform takes its upper end only, as it begins at 0, where a standard "
            f"deviation does: write Uniform(10); got {shown(text)}"
        )
    for place, part in enumerate(numbers.split(",") if numbers.strip() else []):
        named, equals, number = part.rpartition("=")
        name = named.strip() if equals else "".join(takes[place : place + 1])
        if name not in takes or name in values:
            wants = f"takes {', '.join(takes)}" if takes else "takes no numbers"
            raise PriorError(f"--prior: {family} {wants}; got {shown(text)}")
        try:
            values[name] = float(number)
        except ValueError:
            raise PriorError(
                f"--prior: {family}: {name} must be a number, got {shown(number.strip())} in "
                f"{shown(text)}"
            ) from None
    try:
        return kinds[family](**values)
    except TypeError:
        raise PriorError(f"--prior: {family} takes {', '.join(takes)}; got {shown(text)}") from None


# ---- fit ----------------------------------------------------------------------------------------

_File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", parser=to_read, help="CSV or Parquet: a file, a glob in quotes, or a folder"
    ),
]
_Y = Annotated[str, typer.Option(metavar="COLUMN", help="The response.")]
_Group = Annotated[str, typer.Option(metavar="COLUMN", help="The groups' labels.")]
_Sigma = Annotated[
    str, typer.Option(metavar="common|group", help="One residual sd, or one for each group.")
]


def _shared(
    pooling: Annotated[str, typer.Option(metavar="partial|none|complete")] = "partial",
    parameterization: Annotated[
        str,
        typer.Option(
            metavar="auto|marginal|centered|noncentered", help="How it is written for NUTS."
        ),
    ] = "auto",
    prior: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FAMILY(NUMBERS)",
            help="A prior in place of the default, in quotes: 'tau=HalfCauchy(5)', "
            "'mu[x]=Normal(0, 1)'; Uniform(10) is from 0 to 10. Repeatable.",
        ),
    ] = None,
    missing: Annotated[
        str, typer.Option(metavar="raise|drop", help="Rows with missing values.")
    ] = "raise",
    engine: Annotated[
        str,
        typer.Option(
            metavar="nuts|exact|gibbs",
            help="How the draws are made: the last two need no CmdStan.",
        ),
    ] = "nuts",
    chains: Annotated[int, typer.Option(metavar="N")] = 4,
    draws: Annotated[int, typer.Option(metavar="N", help="Draws kept of each chain.")] = 1000,
    warmup: Annotated[
        int | None,
        typer.Option(metavar="N", help="Iterations before them.  [default: as long as needed]"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Makes the fit reproducible.")
    ] = None,
    adapt_delta: Annotated[
        float | None,
        typer.Option(metavar="X", help="Raise it against divergences.  [default: 0.8 or 0.95]"),
    ] = None,
    max_treedepth: Annotated[int, typer.Option(metavar="N")] = 10,
    effects: Annotated[
        str,
        typer.Option(
            metavar="auto|draws|summary|none", help="What a marginal fit gives of the groups."
        ),
    ] = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FIT.nc",
            parser=to_write,
            help="Where the fit is saved (NetCDF).",
        ),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", parser=to_write, help="Keeps Stan's files, for `hiermodels resume`."
        ),
    ] = None,
    allow_failed_chains: Annotated[
        bool, typer.Option("--allow-failed-chains", help="Go on with the chains that finished.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Warnings and errors only; needs -o.")
    ] = False,
) -> None:
    """Options of every family."""


def command_of(
    columns: Callable[..., dict[str, Any]],
    options: Callable[..., None],
    run: Callable[..., None],
    help_text: str | None = None,
) -> Callable[..., None]:
    """Make a command of a family: its own options, then those that all have, then what it does.

    Parameters
    ----------
    columns : callable
        Takes a family's own options; gives ``file``, ``family`` and the constructor's columns.
    options : callable
        Its parameters are the other options.
    run : callable
        Takes file, family and columns, and the other options by name.
    help_text : str, optional
        In place of that of ``columns``.
    """
    own = inspect.signature(columns, eval_str=True)
    others = inspect.signature(options, eval_str=True)

    @functools.wraps(columns)
    def command(**given: Any) -> None:
        mine = columns(**{name: given[name] for name in own.parameters})
        rest = {name: given[name] for name in others.parameters}
        run(mine.pop("file"), mine.pop("family"), mine, **rest)

    parameters = [*own.parameters.values(), *others.parameters.values()]
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    command.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    if help_text is not None:
        command.__doc__ = help_text
    return command


def _eight_schools(
    *,
    file: _File,
    effect: Annotated[str, typer.Option(metavar="COLUMN", help="The estimates.")],
    se: Annotated[str, typer.Option(metavar="COLUMN", help="Their standard errors.")],
    group: _Group,
) -> dict[str, Any]:
    """One estimate and its standard error per group.

    \b
    Example:
      hiermodels datasets eight_schools -o schools.csv
      hiermodels fit eight-schools schools.csv \\
          --effect effect --se se --group school -o fit.nc
    """
    return {"file": file, "family": "EightSchools", "effect": effect, "se": se, "group": group}


def _one_way(*, file: _File, y: _Y, group: _Group, sigma: _Sigma = "common") -> dict[str, Any]:
    """Rows in groups, each with a mean of its own.

    \b
    Example:
      hiermodels datasets mathscore -o scores.csv
      hiermodels fit one-way scores.csv --y mathscore --group school -o fit.nc
    """
    return {"file": file, "family": "OneWay", "y": y, "group": group, "sigma": sigma}


def _varying_slopes(
    *,
    file: _File,
    y: _Y,
    group: _Group,
    varying: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Its coefficient varies by group. Repeatable."),
    ] = None,
    common: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="One coefficient for all groups. Repeatable."),
    ] = None,
    intercept: Annotated[str, typer.Option(metavar="varying|common|none")] = "varying",
    intercept_at: Annotated[
        str,
        typer.Option(
            metavar="centre|zero",
            help="Where the priors of the intercept are: at the columns' means, or at 0.",
        ),
    ] = "centre",
    sigma: _Sigma = "common",
) -> dict[str, Any]:
    """Rows in groups, each with a regression of its own.

    \b
    Example:
      hiermodels datasets exam -o exam.csv
      hiermodels fit varying-slopes exam.csv --y normexam --group school \\
          --varying standLRT --common sex -o fit.nc
    """
    return {
        "file": file,
        "family": "VaryingSlopes",
        "y": y,
        "group": group,
        "varying": varying or [],
        "common": common or [],
        "intercept": intercept,
        "intercept_at": intercept_at,
        "sigma": sigma,
    }


FAMILIES: dict[str, Callable[..., dict[str, Any]]] = {
    "eight-schools": _eight_schools,
    "one-way": _one_way,
    "varying-slopes": _varying_slopes,
}
"""The families' own options, by the name of their commands."""


def _fit(
    file: Path,
    family: str,
    columns: dict[str, Any],
    *,
    prior: list[str] | None,
    pooling: str,
    parameterization: str,
    missing: str,
    output: Path | None,
    output_dir: Path | None,
    quiet: bool,
    **settings: Any,
) -> None:
    check_options(output, quiet, file)
    priors = read_priors(prior or [])

    import hiermodels

    model = getattr(hiermodels, family)(
        file,
        **columns,
        pooling=pooling,
        parameterization=parameterization,
        priors=priors,
        missing=missing,
    )
    if not quiet:
        say(printable(repr(model)[1:-1]))
    progress = False if quiet else None
    carry_out(
        lambda: model.fit(output_dir=output_dir, progress=progress, **settings),
        output=output,
        quiet=quiet,
        folder=output_dir,
    )


for _name, _columns in FAMILIES.items():
    app.command(_name)(command_of(_columns, _shared, _fit))


@app.callback(invoke_without_command=True)
def _fit_top(context: typer.Context) -> None:
    """Fit a model to a data file.

    \b
    Example:
      hiermodels fit one-way scores.csv --y mathscore --group school -o fit.nc
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)
