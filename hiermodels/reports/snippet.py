"""The Python code that makes a fit, or a comparison, again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import families
from ..families.gaussian.statistics import SufficientStatistics
from ..models import symbols

if TYPE_CHECKING:
    from ..models.model import Model
    from ..priors.distributions import Prior
    from .subject import Subject

__all__ = ["code"]

_DEFAULTS = {
    "pooling": "partial",
    "intercept": "varying",
    "intercept_at": "centre",
    "sigma": "common",
    "missing": "raise",
}
_BY_HAND = ("centered", "noncentered")
# Of an exact fit, and of one by NUTS or Gibbs: attributes that are arguments of ``fit``.
_ALWAYS = ("seed",)
_UNLESS = {"engine": "nuts", "chains": 4, "draws": 1000, "max_treedepth": 10, "effects": "draws"}
_OF_A_SAMPLER = ("warmup", "adapt_delta", "metric")


def code(subject: Subject, path: str) -> str:
    """Code that makes the report again, given the data.

    Parameters
    ----------
    subject : Subject
    path : str
        Where the report is written.

    Returns
    -------
    str
        Runs as it is where the data came from a file, else where ``frame`` is the data.
    """
    made = _of_model(subject.model) if subject.model is not None else _of_fit(subject)
    if made is None:
        return ""
    frame, head, arguments, waiting = made
    lines = ["import hiermodels as hm", "", *head]
    lines += [f"model = hm.{subject.model_name}(", f"    {frame},"]
    lines += [f"    {name}={value}," for name, value in arguments.items()]
    lines.append(")")
    if waiting:
        # Only together with pooling= are priors of other strategies kept.
        lines.append(f"model = model.replace(pooling=model.pooling, priors={_priors(waiting, 0)})")
    lines += _calls(subject, path)
    return "\n".join(lines) + "\n"


def _calls(subject: Subject, path: str) -> list[str]:
    if subject.comparison is not None:
        given = {k: v for k, v in subject.comparison.call.items() if _plain(v)}
        return [
            f"pools = hm.compare_pooling(model{_keywords(given)})",
            "print(pools)",
            f"hm.report(pools, {_text(path)})",
        ]
    attrs = subject.attrs
    given = {name: attrs[name] for name in _ALWAYS if name in attrs}
    given |= {k: attrs[k] for k, usual in _UNLESS.items() if attrs.get(k, usual) != usual}
    if attrs.get("engine", "nuts") != "exact":
        given |= {name: attrs[name] for name in _OF_A_SAMPLER if name in attrs}
    return [
        f"idata = model.fit({_keywords(given).removeprefix(', ')})",
        "print(hm.check(idata))",
        f"hm.report(idata, {_text(path)}, model=model)",
    ]


# ---- the constructor -----------------------------------------------------------------------------

_Made = tuple[str, list[str], dict[str, str], dict[str, Any]]


def _of_model(model: Model) -> _Made:
    """First argument, lines before, keywords, and priors that another pooling waits for."""
    options = dict(model._options)
    source, given = options.pop("frame"), options.pop("priors")
    d = model.design
    frame, head = "frame", _needed(model.columns, d.N)
    if isinstance(source, str | os.PathLike):
        frame, head = _text(os.fspath(source)), []
    elif isinstance(source, SufficientStatistics):
        head = [f"# frame: the sufficient statistics of {d.N} rows in {d.J} groups"]
    if options["parameterization"] not in _BY_HAND:
        options.pop("parameterization")
    arguments = _columns(options)
    here = {name: prior for name, prior in given.items() if name in model.priors}
    if here:
        arguments["priors"] = _priors(here, 4)
    return frame, head, arguments, dict(given) if len(here) < len(given) else {}


def _of_fit(subject: Subject) -> _Made | None:
    """The same from what a fit says of itself: all priors in force are given."""
    attrs, columns = subject.attrs, subject.columns
    if not columns or "model" not in attrs:
        return None
    options = {**columns, "pooling": attrs.get("pooling", "partial")}
    if attrs["model"] == "VaryingSlopes":  # a fit of before there was a choice is at 0
        options.setdefault("intercept_at", "zero")
    if attrs.get("parameterization") in _BY_HAND:
        options["parameterization"] = attrs["parameterization"]
    if attrs.get("rows_dropped"):
        options["missing"] = "drop"
    arguments = _columns(options)
    if "family" in attrs:
        arguments["family"] = repr(families.of_attributes(attrs))
    priors = symbols.priors_of(attrs)
    if priors:
        arguments["priors"] = _priors(priors, 4)
    return "frame", _needed(columns, attrs.get("rows")), arguments, {}


def _columns(options: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: _value(value)
        for name, value in options.items()
        if value != _DEFAULTS.get(name) and value not in ((), [])
    }


def _needed(columns: Mapping[str, Any], rows: Any) -> list[str]:
    """A comment that says what the data frame is."""
    named: list[str] = []
    for role, value in columns.items():
        if role not in ("intercept", "intercept_at", "sigma"):
            named += [value] if isinstance(value, str) else list(value)
    many = "" if rows is None else f" ({rows} rows)"
    return [f"# frame: a data frame with the columns {', '.join(map(_text, named))}{many}"]


# ---- values --------------------------------------------------------------------------------------


def _text(text: str) -> str:
    """A string literal, with double quotes; JSON's are Python's."""
    return json.dumps(text, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _keywords(given: Mapping[str, Any]) -> str:
    return "".join(f", {name}={_value(value)}" for name, value in given.items())


def _priors(priors: Mapping[str, Any], indent: int) -> str:
    """A dict of priors, or of dicts of them by coefficient."""
    pad = " " * (indent + 4)
    lines = [
        f"{pad}{_text(name)}: {_priors(p, indent + 4) if isinstance(p, Mapping) else _prior(p)},"
        for name, p in priors.items()
    ]
    return "\n".join(["{", *lines, f"{' ' * indent}}}"])


def _prior(prior: Prior) -> str:
    numbers = (int(n) if n.is_integer() and abs(n) < 1e15 else n for n in prior.numbers)
    return f"hm.{type(prior).__name__}({', '.join(map(repr, numbers))})"
