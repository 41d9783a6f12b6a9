"""The sections of a report, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..comparison import pooling_comparison
from ..errors import ContainerError
from ..models import symbols
from . import estimates, pictures, snippet, tables
from . import page as pages
from .numbers import decimals, fixed, interval
from .page import Section, Table, escape, figure, items, paragraph, table
from .subject import CALLED

if TYPE_CHECKING:
    import xarray as xr

    from .subject import Subject

__all__ = ["page"]

# Coefficients whose mean and spread are said in short.
_FEW = 3


def page(s: Subject, path: str, title: str | None) -> str:
    """The whole page.

    Parameters
    ----------
    s : Subject
    path : str
        Where it goes, as the user gave it.
    title : str, optional
    """
    sections = [
        Section("summary", "In short", _in_short(s)),
        Section("data", "Data", _data(s)),
        Section("model", "Model", _model(s)),
        Section("diagnostics", "Diagnostics", _diagnostics(s)),
        *([] if s.comparison is None else [Section("comparison", "Comparison", _comparison(s))]),
        Section("estimates", "Estimates", _estimates(s)),
        Section("pictures", "Pictures", _pictures(s)),
        Section("reproduce", "To make it again", _again(s, path)),
    ]
    what = pooling_comparison.title(s.comparison) if s.comparison is not None else _title(s)
    lead = what if title is not None else _lead(s)
    return pages.frame(title or what, lead, sections, "Made by hiermodels.")


def _title(s: Subject) -> str:
    return f"{s.response} by {s.group}: {tables.size(s)} ({s.model_name})"


def _lead(s: Subject) -> str:
    if s.comparison is not None:
        return f"The same data {_and([_WITH[name] for name in s.fits])}."
    return f"A fit {_WITH[s.lead]}." if s.lead in _WITH else "A fit."


_WITH = {
    "none": "without pooling",
    "partial": "with partial pooling",
    "complete": "with complete pooling",
}


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


# ---- in short ------------------------------------------------------------------------------------


def _in_short(s: Subject) -> str:
    bad = [name for name, found in s.checks.items() if not found.ok]
    said = list(_scalars(s))
    if s.comparison is not None:
        said += pooling_comparison.conclusions(s.comparison)
        said += [
            f"There is no fit {_WITH[name]}: {why}." for name, why in s.comparison.absent.items()
        ]
    # No fault of the draws, but a reader has to know; what to do about it is among the diagnostics.
    notes = [f.message for f in s.checks[s.lead].findings if f.severity == "note"]
    said += [f"To know: {message}." for message in notes]
    if s.misfits is not None and len(s.misfits.misfits):
        said.append(s.misfits.verdict)
    out = _verdicts(s, bad)
    return f"{out}\n{items(said)}" if said else out


def _verdicts(s: Subject, bad: list[str]) -> str:
    if not bad and len(s.checks) > 1:
        return paragraph(
            f"No sign of trouble in the draws of the {len(s.checks)} fits.", "verdict good"
        )
    out = []
    for name, found in s.checks.items():
        if name in bad or len(s.checks) == 1:
            whose = f"{CALLED.get(name, name)}: " if len(s.checks) > 1 else ""
            style = "verdict good" if found.ok else "verdict bad"
            out.append(paragraph(f"{whose}{found.verdict}", style))
    return "\n".join(out)


def _scalars(s: Subject) -> Iterator[str]:
    """Mean and interval of the few numbers that a reader looks for first."""
    several = s.coefficients != [None]
    of = "" if several else f" of {s.response}"
    words = {
        "mu": f"mean{of} over all groups",
        "tau": "standard deviation between groups",
        "sigma": "residual standard deviation",
        "icc": "share of the variance that lies between groups",
    }
    whose = f", under {CALLED[s.lead]}" if s.comparison is not None else ""
    for name, meaning in words.items():
        for label, x in _few(s, name):
            draws = x.to_numpy()
            places = decimals(draws.std(), 2)
            low, high = (float(x.quantile(q)) for q in (0.05, 0.95))
            yield (
                f"{label}, the {meaning}{whose}: {fixed(draws.mean(), places)} (90 % interval "
                f"{interval(low, high, places)})."
            )
            whose = ""


def _few(s: Subject, name: str) -> Iterator[tuple[str, xr.DataArray]]:
    """A variable that is one number, or one for each of few coefficients."""
    x = s.posterior.get(name)
    if x is None:
        return
    rest = set(x.dims) - {"chain", "draw"}
    if not rest:
        yield name, x
    elif rest == {"coefficient"} and x.sizes["coefficient"] <= _FEW:
        for label in x["coefficient"].to_numpy():
            yield f"{name}[{label}]", x.sel(coefficient=label)


# ---- data ----------------------------------------------------------------------------------------


def _data(s: Subject) -> str:
    out = [table(tables.data(s), "table-data")]
    predictors = tables.predictors(s)
    if predictors is not None:
        out.append(table(predictors, "table-predictors"))
    return "\n".join(out)


# ---- model, priors -------------------------------------------------------------------------------


def _model(s: Subject) -> str:
    out = []
    try:
        found = symbols.in_symbols(s.idata if s.model is None else s.model)
        lines = "\n".join(f"<p>{symbols.marked(line)}</p>" for line in found.lines)
        legend = "\n".join(
            f"<dt>{symbols.marked(symbol)}</dt><dd>{escape(words)}</dd>"
            for symbol, words in found.where
        )
        out += [f'<div class="symbols">\n{lines}\n</div>', f'<dl class="where">\n{legend}\n</dl>']
    except ContainerError as error:
        out.append(paragraph(f"Not shown: {error}."))
    if s.comparison is not None:
        theta = symbols.marked("theta_j")
        others = {
            "none": f"without pooling each {theta} stands by itself",
            "complete": f"with complete pooling there is one {symbols.marked('theta')} for all",
        }
        said = [words for name, words in others.items() if name in s.fits]
        out.append(f"<p>{'; '.join(['This is partial pooling', *said])}.</p>")
    out.append("<h3>Priors</h3>")
    priors = tables.priors(s)
    out.append(table(priors, "table-priors") if priors else paragraph("The fit does not say."))
    return "\n".join(out)


# ---- diagnostics ---------------------------------------------------------------------------------


def _diagnostics(s: Subject) -> str:
    out = [
        table(tables.diagnosed(s), "table-diagnostics"),
        paragraph(tables.wanted(s), "note"),
    ]
    for name, found in s.checks.items():
        called = CALLED.get(name, "the fit").capitalize()
        said = escape(f"{found.verdict} {tables.made(s.fits[name])}")
        out.append(f"<p><strong>{escape(called)}.</strong> {said}</p>")
        findings, steps = tables.findings(found)
        out += [items(findings)] if findings else []
        out += [paragraph(step) for step in steps]
    if s.misfits is not None:
        out.append(f"<h3>Does the model fit each {escape(s.group)}?</h3>")
        out.append(paragraph(s.misfits.verdict))
        misfits = tables.misfits(s.misfits)
        out += [table(misfits, "table-misfits")] if misfits is not None else []
    return "\n".join(out)


# ---- comparison ----------------------------------------------------------------------------------


def _comparison(s: Subject) -> str:
    c = s.comparison
    assert c is not None  # noqa: S101 - there is such a section
    out = []
    for unit, part in c.elpd.groupby("unit", sort=False):
        heading = pooling_comparison.heading(c, str(unit))
        out.append(f"<h3>{escape(heading)}</h3>")
        found = estimates.scores(part, "Expected log predictive density (elpd): larger is better")
        if found is not None:
            out.append(table(found, f"table-scores-{unit}"))
        for r in part[part["elpd"].isna()].to_dict("records"):
            out.append(paragraph(f"{CALLED[r['pooling']].capitalize()}: {r['use']}."))
    out.append("<h3>How much the groups differ</h3>")
    out.append(table(estimates.heterogeneity(c.heterogeneity), "table-heterogeneity"))
    out.append(items(estimates.meanings(c.heterogeneity)))
    out += [paragraph(line) for line in pooling_comparison.place(c)]
    if c.notes:
        out += ["<h3>Notes</h3>", items(c.notes)]
    return "\n".join(out)


# ---- estimates -----------------------------------------------------------------------------------


def _estimates(s: Subject) -> str:
    out = []
    found = estimates.hyperparameters(s)
    if found is not None:
        out.append(table(found, "table-hyperparameters"))
    if s.comparison is not None:
        by_group: list[Table] = estimates.compared(s)
        out += [paragraph(line) for line in estimates.common(s)]
        out += [paragraph(line) for line in estimates.by_itself(s)]
    else:
        by_group = estimates.effects(s)
        if not by_group:
            out.append(
                paragraph(
                    "The fit has kept nothing of the groups' effects (effects='none'); fit with "
                    "effects='draws' or 'summary'."
                )
            )
        out += [paragraph(line) for line in estimates.by_itself(s)]
    out += [table(t, f"table-groups-{k}") for k, t in enumerate(by_group)]
    return "\n".join(out)


# ---- pictures ------------------------------------------------------------------------------------


def _pictures(s: Subject) -> str:
    out: list[str] = []
    absent: list[str] = []
    for found in pictures.drawn(s):
        if isinstance(found, pictures.Drawn):
            name = f"picture-{len(out)}"
            out.append(figure(found.uri, found.alt, found.caption, found.size, name))
        else:
            absent.append(f"{found.caption}: {found.reason}")
    if absent:
        out += ["<h3>Left out</h3>", items(absent)]
    return "\n".join(out)


# ---- to make it again ----------------------------------------------------------------------------


def _again(s: Subject, path: str) -> str:
    code = snippet.code(s, path)
    out = [table(tables.versions(s), "table-versions")]
    if not code:
        return "\n".join([*out, paragraph("The fit does not say how it was made.")])
    label = 'role="region" aria-label="Python code" tabindex="0"'
    out += ["<h3>Code</h3>", f"<pre {label}><code>{escape(code)}</code></pre>"]
    return "\n".join(out)
