"""A model in symbols: its likelihood, its population, its priors, and what each letter means."""

from __future__ import annotations

import html as escaping
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import families
from ..container import inference_data as idatas
from ..data.origins import Origin, of_attributes
from ..errors import ContainerError, OptionError
from ..families import Family
from .registry import MODELS

if TYPE_CHECKING:
    from ..container.inference_data import Container
    from ..priors.blocks import Priors
    from .base import Base

__all__ = ["Symbols", "in_symbols", "marked"]

_GREEK = {
    "beta": "\u03b2",
    "mu": "\u03bc",
    "sigma": "\u03c3",
    "tau": "\u03c4",
    "theta": "\u03b8",
    "Omega": "\u03a9",
}
_UPRIGHT = ("N", "diag")
_MOST_NAMES = 8


@dataclass(frozen=True, repr=False)
class Symbols:
    """A model in symbols; prints as plain text.

    Attributes
    ----------
    lines : tuple of str
        Likelihood and population: ``"y_i ~ N(theta_{j[i]}, sigma)"``. The second argument of ``N``
        is a standard deviation, that of ``N_K`` a covariance matrix.
    priors : tuple of str
        One line for each prior: ``"tau ~ HalfCauchy(5)"``.
    where : tuple of (str, str)
        What each symbol is.
    """

    lines: tuple[str, ...]
    priors: tuple[str, ...]
    where: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        wide = max(len(symbol) for symbol, _ in self.where)
        legend = [f"{symbol:<{wide}}  {words}" for symbol, words in self.where]
        return "\n".join([*self.lines, *self.priors, "", *legend])

    __repr__ = __str__

    def to_html(self) -> str:
        """The same as HTML, with Greek letters and subscripts, and nothing else that it needs."""
        lines = [marked(line) for line in self.lines]
        lines += [escaping.escape(line) for line in self.priors]
        legend = "".join(
            f"<dt>{marked(symbol)}</dt><dd>{escaping.escape(words)}</dd>"
            for symbol, words in self.where
        )
        return f"<p>{'<br>'.join(lines)}</p>\n<dl>{legend}</dl>"

    def _repr_html_(self) -> str:
        return self.to_html()


def in_symbols(what: Base | Container) -> Symbols:
    r"""Write a model down in symbols.

    Parameters
    ----------
    what : EightSchools, OneWay, VaryingSlopes, InferenceData or DataTree
        A model, or a fit of one, whose attributes say what was fitted.

    Returns
    -------
    Symbols
        ``print`` it; a notebook shows it with Greek letters.

    Raises
    ------
    OptionError
        It is neither.
    ContainerError
        The container does not say which model it is a fit of.

    Examples
    --------
    >>> import hiermodels as hm
    >>> model = hm.EightSchools(
    ...     hm.datasets.eight_schools(), effect="effect", se="se", group="school"
    ... )
    >>> print(*hm.in_symbols(model).lines, sep="\n")
    y_j ~ N(theta_j, sigma_j)
    theta_j ~ N(mu, tau)
    """
    if hasattr(what, "design") and hasattr(what, "priors"):
        facts = _of_model(what)
    elif hasattr(what, "children") or callable(getattr(what, "groups", None)):
        facts = _of_container(what)
    else:
        raise OptionError(
            f"in_symbols takes a model or a fit of one, got {type(what).__name__}; make a model "
            "first, as in hm.OneWay(frame, ...)"
        )
    lines = _known(facts) if facts.family.estimates else _rows(facts)
    return Symbols(tuple(lines), facts.priors, tuple(_where(facts)))


# ---- what has to be known ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Facts:
    """What a model's symbols follow from."""

    pooling: str
    response: str
    group: str
    family: Family
    coefficients: tuple[str, ...]
    predictors: tuple[str, ...]
    N: int | None
    J: int | None
    priors: tuple[str, ...]
    origin: Origin

    @property
    def K(self) -> int:
        return len(self.coefficients)

    @property
    def mean_only(self) -> bool:
        """Whether theta is the mean of its group: nothing but the intercept varies."""
        return self.coefficients == ("Intercept",)


def _of_model(model: Base) -> _Facts:
    d = model.design
    return _Facts(
        pooling=model.pooling,
        response=d.response,
        group=d.group,
        family=model.family,
        coefficients=d.coefficients,
        predictors=d.predictors,
        N=d.N,
        J=d.J,
        priors=tuple(f"{name} ~ {prior}" for name, prior in model.priors.flat().items()),
        origin=d.origin,
    )


def _of_container(idata: Container) -> _Facts:
    attrs = idatas.attributes(idata)
    columns = json.loads(str(attrs.get("columns", "{}")))
    if attrs.get("model") not in MODELS or not {"group"} < set(columns):
        raise ContainerError(
            "the container does not say which model it is a fit of (attributes 'model' and "
            "'columns'); model.fit() writes them"
        )
    rows = attrs.get("rows")
    coefficients = _labels(idata, "coefficient")
    return _Facts(
        pooling=str(attrs.get("pooling", "partial")),
        response=columns.get("y") or columns["effect"],
        group=columns["group"],
        family=families.of_attributes(attrs),
        coefficients=coefficients or ("Intercept",),
        predictors=_labels(idata, "predictor"),
        N=None if rows is None else int(rows),
        J=len(_labels(idata, columns["group"])) or None,
        priors=tuple(f"{name} ~ {prior}" for name, prior in priors_of(attrs).flat().items()),
        origin=of_attributes(attrs, coefficients, _labels(idata, "predictor")),
    )


def _labels(idata: Container, dim: str) -> tuple[str, ...]:
    """Labels of a dim, in whichever group of the container has it."""
    for name in idatas.groups(idata):
        ds = idatas.dataset(idata, name)
        if dim in ds.dims and dim in ds.coords:
            return tuple(str(label) for label in ds[dim].to_numpy())
    return ()


def priors_of(attrs: Mapping[str, Any]) -> Priors:
    """The priors in force, from what a container's attributes say of them."""
    from ..priors.blocks import Block, Priors
    from ..priors.distributions import FAMILIES

    values: dict[str, Any] = {}
    kinds: dict[str, str] = {}
    for name, numbers in json.loads(str(attrs.get("priors", "{}"))).items():
        family = FAMILIES[numbers["family"]]
        prior = family(**{key: x for key, x in numbers.items() if key != "family"})
        block, bracket, element = name.partition("[")
        kinds[block] = min(family.kinds)
        if bracket:
            values.setdefault(block, {})[element.removesuffix("]")] = prior
        else:
            values[block] = prior
    blocks = [
        Block(name, kinds[name], tuple(value) if isinstance(value, dict) else None)
        for name, value in values.items()
    ]
    return Priors(tuple(blocks), values, {})


# ---- the lines -----------------------------------------------------------------------------------


def _known(f: _Facts) -> list[str]:
    line = f.family.symbols("mu" if f.pooling == "complete" else "theta_j", f.group)[0]
    return [line, "theta_j ~ N(mu, tau)"] if f.pooling == "partial" else [line]


def _rows(f: _Facts) -> list[str]:
    theta = "mu" if f.pooling == "complete" else "theta_{j[i]}"
    varying = theta if f.mean_only else f"{_vector('z', f.K)} {theta}"
    terms = [varying]
    if f.predictors:
        # Without pooling the common columns, too, have a coefficient for each group.
        beta = "beta_{j[i]}" if f.pooling == "none" else "beta"
        terms.append(f"{_vector('x', len(f.predictors))} {beta}")
    lines = [f.family.symbols(" + ".join(terms), f.group)[0]]
    if f.pooling == "partial":
        spread = f"_{f.K}(mu, diag(tau) Omega diag(tau))" if f.K > 1 else "(mu, tau)"
        lines.append(f"theta_j ~ N{spread}")
    return lines


def _vector(letter: str, size: int) -> str:
    return f"{letter}_i'" if size > 1 else f"{letter}_i"


# ---- the legend ----------------------------------------------------------------------------------


def _where(f: _Facts) -> list[tuple[str, str]]:
    last = "" if f.J is None else f", j = 1, ..., {f.J}"
    several = f.K > 1
    said = []
    if f.family.estimates:
        said += [
            ("y_j", f"{f.response}, the estimate of {f.group} j{last}"),
            *f.family.symbols("theta_j", f.group)[1],
        ]
    else:
        rows = "" if f.N is None else f", i = 1, ..., {f.N}"
        said += [("y_i", f"{f.response} of row i{rows}"), ("j[i]", f"the {f.group} of row i{last}")]
        if not f.mean_only:
            said.append(("z_i", f"row i of {_names(f.coefficients, f.origin)}"))
        if f.predictors:
            said.append(("x_i", f"row i of {_names(f.predictors, f.origin)}"))
    if f.pooling != "complete":
        noun = "coefficients" if several else "mean" if f.mean_only else "coefficient"
        noun = f"true {f.response}" if f.family.estimates else noun
        said.append(("theta_j", f"{noun} of {f.group} j"))
    said += _population(f, several)
    if f.predictors:
        symbol = "beta_j" if f.pooling == "none" else "beta"
        where = f"in {f.group} j" if f.pooling == "none" else f"the same in every {f.group}"
        said.append((symbol, f"coefficient{_s(len(f.predictors))} of x, {where}"))
    if not f.family.estimates:
        said += f.family.symbols("theta_{j[i]}", f.group)[1]
    if f.origin.moves:
        name = ", ".join(f.origin.heights)
        also = ", with its own tau and Omega" if f.pooling == "partial" and several else ""
        said.append(
            (name, f"height of a line at {f.origin}; a fit reports it where they are 0{also}")
        )
    if f.pooling == "partial" or f.family.marginal:
        said.append(("N(m, s)", "normal with mean m and standard deviation s"))
    if several and f.pooling == "partial":
        said.append((f"N_{f.K}(m, S)", "multivariate normal with mean m and covariance matrix S"))
    return said


def _population(f: _Facts, several: bool) -> list[tuple[str, str]]:
    if f.pooling == "none":
        return []
    if f.pooling == "complete":
        noun = "mean" if f.mean_only else "coefficients" if several else "coefficient"
        return [("mu", f"{noun} of every {f.group}")]
    of = " of the coefficients" if several else ""
    said = [
        ("mu", f"population mean{_s(f.K)}{of}"),
        ("tau", f"standard deviation{_s(f.K)}{of} between groups"),
    ]
    return [*said, ("Omega", "correlations of the coefficients")] if several else said


def _names(names: tuple[str, ...], origin: Origin) -> str:
    """Columns in words, less what is taken off them; the intercept is a column of ones."""
    shown = [
        "1 (intercept)" if name == "Intercept" else origin.column(name)
        for name in names[:_MOST_NAMES]
    ]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"the column{_s(len(names))} {', '.join(shown)}{more}"


def _s(number: int) -> str:
    return "" if number == 1 else "s"


# ---- HTML ----------------------------------------------------------------------------------------

_TOKEN = re.compile(r"([A-Za-z]+)(?:_(?:\{([^}]*)\}|(\w+)))?|([^A-Za-z]+)")


def marked(text: str) -> str:
    """Symbols as HTML: ``theta_{j[i]}`` with its Greek letter and its subscript.

    Parameters
    ----------
    text : str
        A line of :class:`Symbols`; nothing that a user named.
    """
    out = []
    for name, braces, one, other in _TOKEN.findall(text):
        if not name:
            out.append(escaping.escape(other.replace("'", "\u2032"), quote=False))
            continue
        letter = _GREEK.get(name, name)
        out.append(letter if name in _UPRIGHT else f"<i>{letter}</i>")
        if braces or one:
            out.append(f"<sub>{marked(braces or one)}</sub>")
    return "".join(out)
