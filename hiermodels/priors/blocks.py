"""The parameters of a model that have a prior, and the priors in force: defaults and given ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import Message, OptionError, PriorError, option, shown, suggest
from .distributions import FAMILIES, Prior

__all__ = ["Block", "Priors", "check_given", "no_place"]

# What to take instead, when a family stands at the wrong kind of parameter.
_INSTEAD = {
    ("Normal", "scale"): "HalfNormal",
    ("StudentT", "scale"): "HalfT",
    ("HalfNormal", "location"): "Normal",
    ("HalfT", "location"): "StudentT",
}


@dataclass(frozen=True)
class Block:
    """A parameter that has a prior: its name, kind, and the names of its elements.

    ``elements`` is empty where one prior serves the whole parameter, and holds the coefficients'
    names where each has its own.
    """

    name: str
    kind: str
    elements: tuple[str, ...] | None = None


class Priors(Mapping[str, Any]):
    """The priors in force: block -> prior, or block -> {coefficient: prior}.

    Prints as a table. Blocks whose coefficients have priors of their own map to a dict.

    Attributes
    ----------
    where : dict of str to str
        In words, by full name, where priors are that are not of what a fit reports.
    """

    def __init__(
        self, blocks: tuple[Block, ...], defaults: Mapping[str, Any], given: Mapping[str, Any]
    ) -> None:
        self._blocks = {b.name: b for b in blocks}
        self._given = {
            full
            for name, prior in given.items()
            for full in ([f"{name}[{e}]" for e in prior] if isinstance(prior, Mapping) else [name])
        }
        self.where: dict[str, str] = {}
        for name in given:
            if name not in self._blocks:
                raise PriorError(
                    f"priors: this model has no parameter {name!r}; its parameters with a prior "
                    f"are {', '.join(self._blocks)}{suggest(str(name), self._blocks)}"
                )
        self._values = {
            name: self._merge(block, defaults[name], given.get(name))
            for name, block in self._blocks.items()
        }

    def _merge(self, block: Block, default: Any, given: Any) -> Any:
        if block.elements is None:
            return _fitting(block.name, block.kind, default if given is None else given)
        if given is None:
            given = {}
        elif isinstance(given, Prior):
            given = dict.fromkeys(block.elements, given)
        elif not isinstance(given, Mapping):
            raise PriorError(
                f"priors: {block.name} takes a prior, or a dict of priors by coefficient "
                f"({', '.join(block.elements)}), got {given!r}"
            )
        for element in given:
            if element not in block.elements:
                whose = _whose(element, self._blocks)
                raise PriorError(
                    f"priors: {block.name} has no coefficient {element!r}; it has "
                    f"{', '.join(block.elements)}{suggest(str(element), block.elements)}"
                    + ("; " + whose if whose else "")
                )
        return {
            e: _fitting(f"{block.name}[{e}]", block.kind, given.get(e, default[e]))
            for e in block.elements
        }

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def flat(self) -> dict[str, Prior]:
        """Every prior by its full name: ``{"mu[Intercept]": Normal(...), ...}``."""
        out: dict[str, Prior] = {}
        for name, value in self._values.items():
            if isinstance(value, dict):
                out |= {f"{name}[{e}]": p for e, p in value.items()}
            else:
                out[name] = value
        return out

    def as_list(self, name: str) -> list[Prior]:
        """The priors of a block's elements in order; a list of one where they share it."""
        value = self._values[name]
        return list(value.values()) if isinstance(value, dict) else [value]

    @property
    def improper(self) -> dict[str, Prior]:
        """The priors that do not integrate to one, by full name."""
        return {name: p for name, p in self.flat().items() if not p.proper}

    def stan_data(self) -> dict[str, Any]:
        """Codes and numbers as the Stan programs read them."""
        data: dict[str, Any] = {}
        for name, block in self._blocks.items():
            priors = self.as_list(name)
            if block.kind == "correlation":
                data[f"{name}_eta"] = priors[0].numbers[0]
            elif block.elements is None:
                data[f"{name}_prior"] = priors[0].code[block.kind]
                data[f"{name}_hyper"] = priors[0].hyper()
            else:
                data[f"{name}_prior"] = [p.code[block.kind] for p in priors]
                data[f"{name}_hyper"] = [p.hyper() for p in priors]
        return data

    def as_json(self) -> dict[str, Any]:
        """Priors as plain data, for the container's attributes."""
        return {name: {"family": type(p).__name__, **asdict(p)} for name, p in self.flat().items()}

    def __str__(self) -> str:
        rows = [
            (name, str(p), "given" if {name, name.split("[")[0]} & self._given else "default")
            for name, p in self.flat().items()
        ]
        # Where it is not of what a fit reports: "default, at the centre (Days = 4.5)".
        rows = [(n, p, ", ".join(filter(None, [by, self.where.get(n)]))) for n, p, by in rows]
        wide = [max(len(row[i]) for row in rows) for i in (0, 1)]
        return "\n".join(f"{n:<{wide[0]}} ~ {p:<{wide[1]}}  {by}" for n, p, by in rows)

    def __repr__(self) -> str:
        return f"<Priors\n{self}>"


def no_place(
    name: Any, prior: Any, pooling: str, blocks: Mapping[str, tuple[Block, ...]]
) -> PriorError:
    """That a model has no parameter of this name: which it has, and where the prior may belong.

    Parameters
    ----------
    name, prior
        What was given.
    pooling : str
        The pooling strategy in use.
    blocks : mapping of str to tuple of Block
        The parameters with a prior under each pooling strategy.
    """
    here = {b.name: b for b in blocks[pooling]}
    others = [p for p, found in blocks.items() if name in {b.name for b in found}]
    known = ", ".join(here)
    if others:
        said = f"under pooling={pooling!r} there is no parameter {name!r}; those with a prior are"
    else:
        said = f"this model has no parameter {name!r}; its parameters with a prior are"
    hints = [_belongs(name, prior, pooling, here) or _whose(name, here)]
    if others and pooling != "partial" and "partial" in others:
        hints.append(option("pooling", "partial") + f" has {name}")
    elif others and not hints[0]:
        hints.append(option("pooling", others[0]) + f" has {name}")
    message = f"priors: {said} {known}"
    for words in filter(None, hints):
        message = message + "; " + words
    return PriorError(message if any(hints) else message + suggest(str(name), here))


def _belongs(name: Any, prior: Any, pooling: str, here: Mapping[str, Block]) -> str:
    """What a parameter that is not there is under this pooling strategy, in words."""
    if name == "theta" and pooling == "partial":
        several = "Omega" in here
        spread, names = (
            ("diag(tau) Omega diag(tau)", "mu, tau and Omega")
            if several
            else (
                "tau",
                "mu and tau",
            )
        )
        return f"the prior of theta is its population, N(mu, {spread}): give priors to {names}"
    if name in ("mu", "tau", "Omega") and pooling == "none":
        return "without pooling the groups have no population"
    if name == "beta":
        varying = here["theta" if pooling == "none" else "mu"].elements or ()
        slopes = [e for e in varying if e != "Intercept"]
        named = [e for e in prior if e in slopes] if isinstance(prior, Mapping) else []
        if not slopes:
            return ""
        return "there are no common columns: " + _whose((named or slopes)[0], here)
    if name == "theta":
        return "theta is mu, the same in every group"
    if name in ("tau", "Omega"):
        complete = pooling == "complete"
        return "all groups are the same" if complete else "one coefficient has no correlations"
    return "the standard errors are known" if name == "sigma" else ""


def _whose(name: Any, blocks: Mapping[str, Block]) -> str:
    """Where the prior of a coefficient is given, in words; nothing where it is no coefficient."""
    for block in blocks.values():
        for element in block.elements or ():
            if block.kind != "location" or name not in (element, f"{block.name}[{element}]"):
                continue
            own = f"{block.name}[{element!r}]"
            if block.name == "mu" and "tau" in blocks:
                said = f"varies by group, and its population mean is {own}"
            elif "theta" in blocks:
                said = f"is each group's own, {own}"
            else:
                said = f"is the same in every group, {own}"
            return f"the coefficient of {element!r} {said}, as in " + Message(
                f"priors={{{block.name!r}: {{{element!r}: ...}}}}",
                option("prior", f"{block.name}[{element}]=...").shell,
            )
    return ""


_EXAMPLE = {
    "location": "hm.Normal(0, 1)",
    "scale": "hm.HalfNormal(1)",
    "correlation": "hm.LKJ(2)",
}


def _fitting(name: str, kind: str, prior: Any) -> Prior:
    if isinstance(prior, type) and issubclass(prior, Prior):
        raise PriorError(
            f"priors: {name} got the family {prior.__name__} itself; call it with its "
            f"numbers, as in {prior.__name__}(...)"
        )
    if not isinstance(prior, Prior):
        raise PriorError(
            f"priors: {name} must be a prior such as {_EXAMPLE[kind]}, got {shown(prior)}"
        )
    if kind not in prior.kinds:
        fitting = [n for n, cls in FAMILIES.items() if kind in cls.kinds]
        instead = _INSTEAD.get((type(prior).__name__, kind))
        raise PriorError(
            f"priors: {name} is a {kind} parameter and takes {', '.join(fitting)}; got {prior}"
            + (f"; did you mean {instead}?" if instead else "")
        )
    return prior


def check_given(priors: Any) -> dict[str, Any]:
    """The ``priors=`` argument as a dict, or an OptionError."""
    if priors is None:
        return {}
    if not isinstance(priors, Mapping):
        raise OptionError(
            "priors must be a dict from parameter to prior, such as "
            f"{{'tau': hm.HalfCauchy(5)}}; got {type(priors).__name__}"
        )
    return dict(priors)
