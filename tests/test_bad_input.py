"""Bad input of every class: a right answer, or one line that says what to do."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

from hiermodels import errors
from hiermodels.cli import main as cli
from hiermodels.container import inference_data, netcdf
from tests.bad_input import columns, command_line, containers, files, kinds, options, priors, shapes
from tests.bad_input import values as extremes
from tests.bad_input.case import DRAWS, Case, pattern

MODELS = [*columns.CASES, *kinds.CASES, *shapes.CASES, *extremes.CASES, *priors.CASES]
MODELS += [*options.CASES, *files.CASES]
# What the shell may spell or hand over in another way: names, priors and options.
TYPED = [case for case in [*columns.CASES, *priors.CASES, *options.CASES] if case.typed]
KEPT = [*columns.CASES, *kinds.LABELS]  # names and labels that a file must hold


def each(cases):
    """One test for each case; those that take long are marked."""
    return [
        pytest.param(
            case,
            id=re.sub(r"[^a-z0-9]+", "-", case.what.lower()),
            marks=[pytest.mark.slow] if getattr(case, "slow", False) else [],
        )
        for case in cases
    ]


def one_good_line(text):
    assert "\n" not in text
    assert len(text) < 600
    assert "Traceback" not in text


@pytest.mark.parametrize("case", each(MODELS))
def test_from_python_it_is_a_right_answer_or_one_line(case: Case, tmp_path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = case.model(tmp_path)
            idata = model.fit(**{**DRAWS, **case.fit})
            came = None
        except errors.HierModelsError as error:
            came = error
    if case.says or came is not None:
        assert isinstance(came, case.kind)
        one_good_line(str(came))
        assert case.says
        assert re.match(pattern(case.says), str(came)), str(came)
        return
    told = [str(w.message) for w in caught]
    assert len(told) == bool(case.warns), told
    if case.warns:
        assert re.match(pattern(case.warns), told[0]), told[0]
    posterior = inference_data.dataset(idata, "posterior")
    assert case.answer is not None
    case.answer(posterior, model)
    if not any(case is kept for kept in KEPT):
        return
    again = netcdf.load(netcdf.save(idata, tmp_path / "fit.nc"))
    found = inference_data.dataset(again, "posterior")
    for name in posterior:
        np.testing.assert_array_equal(found[name], posterior[name])


@pytest.mark.parametrize("case", each(TYPED))
def test_on_the_command_line_it_is_the_same(case: Case, tmp_path, capsys) -> None:
    given = case.given(tmp_path)
    file = tmp_path / f"typed.{case.typed}"
    if case.typed == "csv":
        given.to_csv(file, index=False)
    elif case.typed == "parquet":
        given.to_parquet(file, index=False)
    else:
        file = given
    out = tmp_path / "fit.nc"
    code = cli.main(case.command(file, out))
    _, err = capsys.readouterr()
    assert "Traceback" not in err
    if case.says:
        line = err.splitlines()[-1].removeprefix("error: ")
        assert re.match(pattern(errors.in_shell(case.says)), line), line
        assert code == (2 if issubclass(case.kind, (ValueError, LookupError)) else 1)
        assert not out.exists()
    else:
        assert code == 0, err
        assert case.answer is not None
        posterior = inference_data.dataset(netcdf.load(out), "posterior")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", errors.DataWarning)  # given above
            case.answer(posterior, case.model(tmp_path))


@pytest.mark.parametrize("case", each(containers.CASES))
def test_a_file_or_a_question_that_is_none_is_one_line(case: containers.Asked, tmp_path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(case.kind) as caught:
            case.run(tmp_path)
    one_good_line(str(caught.value))
    assert re.match(pattern(case.says), str(caught.value)), str(caught.value)


@pytest.fixture(scope="session")
def fit_file(tmp_path_factory):
    return netcdf.save(containers.fit(), tmp_path_factory.mktemp("fit") / "plain.nc")


def typed(case, folder, fit_file):
    return [word.replace("FIT", str(fit_file)) for word in case.typed(folder)]


@pytest.mark.parametrize("case", each(command_line.CASES))
def test_words_that_are_no_command_are_one_line(
    case, tmp_path, fit_file, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("CMDSTAN", str(tmp_path))  # nothing is to be found, or built
    assert cli.main(typed(case, tmp_path, fit_file)) == case.code
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert re.match(pattern(case.says), err.removeprefix("error: ").strip()), err
    assert list((tmp_path / "out").iterdir()) == []
