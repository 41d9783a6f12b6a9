"""Inputs that nobody thought of: frames, priors, labels and words made up by hypothesis."""

from __future__ import annotations

import math
import warnings

import hypothesis
import hypothesis.strategies as st
import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

import hiermodels as hm
from hiermodels import errors
from hiermodels.cli import fit as cli_fit
from hiermodels.cli import main as cli
from hiermodels.container import inference_data
from hiermodels.data import file_names, files, label_texts, labels
from tests.bad_input.case import DRAWS, rows

hypothesis.settings.register_profile(
    "here",
    deadline=None,  # a loaded machine is no fault of the input
    derandomize=True,  # a failure is seen by everyone, at every run
    max_examples=60,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("here")

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
TEXTS = st.text(max_size=12)
ANYTHING = st.one_of(NUMBERS, TEXTS, st.integers(), st.booleans(), st.none(), st.binary())
FAMILIES = sorted(hm.priors.FAMILIES)


def one_line(error):
    assert "\n" not in str(error)
    assert str(error)


@st.composite
def frames(draw):
    """Some rows whose columns are numbers, or anything."""
    n = draw(st.integers(0, 12))
    column = st.one_of(
        st.lists(NUMBERS, min_size=n, max_size=n),
        st.lists(st.floats(-1e3, 1e3), min_size=n, max_size=n),
        st.lists(ANYTHING, min_size=n, max_size=n),
    )
    label = st.one_of(
        st.lists(st.sampled_from("abc"), min_size=n, max_size=n),
        st.lists(st.integers(), min_size=n, max_size=n),
        st.lists(ANYTHING, min_size=n, max_size=n),
    )
    made = {name: pd.Series(draw(column), dtype=object) for name in ("y", "x")}
    frame = pd.DataFrame({"g": pd.Series(draw(label), dtype=object), **made})
    return frame.infer_objects() if draw(st.booleans()) else frame


@hypothesis.given(frame=frames(), missing=st.sampled_from(["raise", "drop"]))
def test_any_frame_is_fitted_or_refused_in_one_line(frame, missing) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.HierModelsWarning)
        try:
            model = hm.OneWay(frame, y="y", group="g", missing=missing)
            idata = model.fit(**{**DRAWS, "draws": 5})
        except errors.HierModelsError as error:
            one_line(error)
            return
    posterior = inference_data.dataset(idata, "posterior")
    for name in ("mu", "tau", "theta", "sigma"):
        assert np.isfinite(posterior[name]).all()
    assert posterior.sizes["g"] == len(set(model.design.labels))


@hypothesis.given(frame=frames())
def test_any_predictor_is_used_or_refused_in_one_line(frame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.HierModelsWarning)
        try:
            model = hm.VaryingSlopes(frame, y="y", group="g", varying=["x"], missing="drop")
        except errors.HierModelsError as error:
            one_line(error)
            return
    assert all(math.isfinite(v) for v in model.design.gram.ravel())


@hypothesis.given(values=st.lists(st.floats(-1e9, 1e9), min_size=6, max_size=12, unique=True))
def test_units_do_not_matter(values) -> None:
    frame = pd.DataFrame({"y": values, "g": [i % 3 for i in range(len(values))]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.DataWarning)  # some look like counts
        try:
            plain = hm.OneWay(frame, y="y", group="g").fit(**DRAWS)["posterior"]["mu"].to_numpy()
        except errors.HierModelsError as error:
            one_line(error)
            return
        other = hm.OneWay(frame.assign(y=frame["y"] * 1024.0), y="y", group="g").fit(**DRAWS)
    np.testing.assert_allclose(
        other["posterior"]["mu"] / 1024, plain, atol=1e-3 * float(np.ptp(values))
    )


@hypothesis.given(family=st.sampled_from(FAMILIES), numbers=st.lists(ANYTHING, max_size=3))
def test_any_prior_has_a_density_or_is_refused_in_one_line(family, numbers) -> None:
    try:
        prior = hm.priors.FAMILIES[family](*numbers)
    except errors.PriorError as error:
        one_line(error)
        return
    except TypeError:  # Python's own: too many numbers, or too few
        return
    x = np.eye(2) if family == "LKJ" else np.array([0.5, 1.0, 2.0])
    assert not np.isnan(prior.log_density(x)).any()
    if prior.proper and family != "LKJ":
        assert not np.isnan(prior.draw(np.random.default_rng(1), 3)).any()


@hypothesis.given(text=st.one_of(TEXTS, st.from_regex(r"\w+(\[.*\])?=\w+\([^()]*\)")))
def test_any_prior_in_words_is_read_or_refused_in_one_line(text) -> None:
    try:
        read = cli_fit.read_priors([text])
    except errors.PriorError as error:
        one_line(cli.one_line(error))
        return
    assert len(read) == 1


@hypothesis.given(family=st.sampled_from(FAMILIES), number=st.floats(1e-6, 1e6))
def test_a_prior_in_words_is_that_prior(family, number) -> None:
    made = {"Flat": [], "LogFlat": [], "HalfT": [3.0, number], "StudentT": [3.0, 0.0, number]}
    made |= {name: [1.0, number] for name in ("InverseGamma", "GammaPrecision", "Normal")}
    numbers = made.get(family, [number])
    words = f"tau={family}({', '.join(map(repr, numbers))})"
    assert cli_fit.read_priors([words]) == {"tau": hm.priors.FAMILIES[family](*numbers)}


@hypothesis.given(values=st.lists(TEXTS, min_size=1, max_size=20))
def test_any_text_is_a_label_of_its_own_or_refused(values) -> None:
    series = nw.from_native(pd.Series(values, dtype=object), series_only=True)
    try:
        found = labels.of_series(series, "g")
    except errors.DataError as error:
        one_line(error)
        assert any("\0" in v or not v.isprintable() for v in values)
        return
    missing = [label_texts.is_missing(value) for value in values]
    assert found.absent.tolist() == missing
    kept = [value for value, gone in zip(values, missing, strict=True) if not gone]
    assert found.levels[found.index[~found.absent]].tolist() == kept


@hypothesis.given(values=st.lists(ANYTHING, min_size=1, max_size=20))
def test_any_labels_are_told_apart_or_refused(values) -> None:
    series = nw.from_native(pd.Series(values, dtype=object), series_only=True)
    try:
        found = labels.of_series(series, "g")
    except errors.DataError as error:
        one_line(error)
        return
    assert len(set(found.levels.tolist())) == len(found.levels)
    missing = [v is None or v != v or label_texts.is_missing(str(v)) for v in values]
    assert found.absent.tolist() == missing


OWN = "fit one-way --y --group -o --prior --chains -- summary --engine exact 1e9 -1 report datasets"


@hypothesis.given(words=st.lists(st.one_of(TEXTS, st.sampled_from(OWN.split())), max_size=6))
def test_any_words_end_with_a_code(words, tmp_path_factory, monkeypatch) -> None:
    folder = tmp_path_factory.mktemp("words")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CMDSTAN", str(folder))
    # What would work for minutes, or write into a folder of its own, is for other tests.
    hypothesis.assume(not {"demo", "compile", "install-cmdstan", "doctor"} & set(words))
    assert cli.main(words) in (0, 1, 2)


@hypothesis.given(
    content=st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda t: t.encode(errors="surrogatepass")),
    ),
    ending=st.sampled_from(sorted(file_names.KINDS)),
)
def test_any_bytes_are_read_or_refused_in_one_line(content, ending, tmp_path_factory) -> None:
    file = tmp_path_factory.mktemp("bytes") / f"data{ending}"
    file.write_bytes(content)
    try:
        files.read(file, labels=files.columns(file))
    except errors.DataError as error:
        one_line(cli.one_line(error))


@hypothesis.given(place=st.integers(0, 10**6), flipped=st.integers(1, 255))
def test_a_csv_file_with_one_byte_changed_is_fitted_or_refused(
    place, flipped, tmp_path_factory
) -> None:
    content = bytearray(rows().to_csv(index=False).encode())
    content[place % len(content)] ^= flipped
    file = tmp_path_factory.mktemp("bytes") / "data.csv"
    file.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.HierModelsWarning)
        try:
            hm.OneWay(file, y="y", group="g")
        except errors.HierModelsError as error:
            one_line(cli.one_line(error))
