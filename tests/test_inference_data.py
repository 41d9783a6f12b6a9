"""What goes into a container comes out of it: through ArviZ's class, and through a file."""

import builtins
import subprocess
import sys

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hiermodels import inference_data as hi
from hiermodels.errors import ContainerError

ATTRS = {"model": "EightSchools", "priors": '{"tau": "HalfCauchy(5)"}', "note": "", "seed": 2**40}
ATTRS |= {"seconds": 0.25}


def draws(labels, chains=4, n=200, seed=5):
    rng = np.random.default_rng(seed)
    dims = ("chain", "draw")
    return xr.Dataset(
        {
            "mu": (dims, rng.normal(size=(chains, n))),
            "theta": ((*dims, "school"), rng.normal(size=(chains, n, len(labels)))),
        },
        coords={"chain": range(chains), "draw": range(n), "school": labels},
    )


def groups_of(labels=("A", "B", "C")):
    labels = labels if hasattr(labels, "dtype") else list(labels)
    posterior = draws(labels)
    stats = xr.Dataset(
        {
            "energy": posterior["mu"] ** 2,
            "diverging": posterior["mu"] > 2,
            "tree_depth": (posterior["mu"] * 0 + 3).astype(np.int64),
        }
    )
    log_lik = posterior[["theta"]].rename(theta="effect")
    return {
        "posterior": posterior,
        "sample_stats": stats,
        "log_likelihood": log_lik,
        "observed_data": xr.Dataset(
            {"effect": ("school", np.arange(len(labels)) * 1.0)}, coords={"school": labels}
        ),
        "log_likelihood_group": log_lik,
        "log_prior": posterior[["mu"]],
    }


@pytest.fixture
def idata():
    return hi.container(groups_of(), ATTRS)


# ---- the container ------------------------------------------------------------------------------


def test_importing_the_module_loads_neither_arviz_nor_xarray():
    code = "import sys, hiermodels.inference_data; print({'arviz', 'xarray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_container_is_the_class_of_the_installed_line(idata):
    assert hi.arviz_version() == az.__version__
    assert type(idata).__name__ == {"0.x": "InferenceData", "1.x": "DataTree"}[hi.arviz_line()]


@pytest.mark.skipif(hi.arviz_line() == "0.x", reason="its container is a class of its own")
def test_on_arviz_1_a_container_is_built_checked_and_summed_up_without_importing_it():
    code = (
        "import sys, numpy as np, xarray as xr, hiermodels as hm;"
        "from hiermodels import inference_data;"
        "x = np.random.default_rng(1).normal(size=(4, 100));"
        "ds = xr.Dataset({'mu': (('chain', 'draw'), x)});"
        "idata = inference_data.container({'posterior': ds}, {'model': 'OneWay'});"
        "hm.check(idata); hm.summary(idata); print('arviz' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("error", "way_out"),
    [
        (AttributeError("no attribute 'core'"), r"'core'\).*pip install 'matplotlib<3\.11'"),
        (PermissionError(13, "Permission denied"), r"denied\).*set XDG_CACHE_HOME"),
    ],
)
def test_an_arviz_that_cannot_be_imported_is_told_with_the_way_out(monkeypatch, error, way_out):
    real = builtins.__import__

    def fail(name, *args, **kwargs):
        if name == "arviz":
            raise error
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fail)
    hi.arviz.cache_clear()
    with pytest.raises(ContainerError, match=way_out):
        hi.arviz()


def test_groups_come_back_as_they_went_in(idata):
    assert set(hi.groups(idata)) == set(groups_of())
    for name, ds in groups_of().items():
        xr.testing.assert_equal(hi.dataset(idata, name), ds)
        assert hi.has(idata, name)
    assert not hi.has(idata, "prior")


def test_attributes_are_on_the_whole_and_on_the_posterior(idata):
    assert hi.attributes(idata) == ATTRS
    assert dict(idata.attrs) == ATTRS
    assert hi.dataset(idata, "posterior").attrs == ATTRS
    assert hi.dataset(idata, "sample_stats").attrs == {}


def test_without_a_posterior_the_attributes_are_on_the_prior():
    prior = hi.container({"prior": draws(["A"]), "observed_data": xr.Dataset({"y": 1.0})}, ATTRS)
    assert hi.dataset(prior, "prior").attrs == ATTRS


def test_building_leaves_the_datasets_alone():
    given = groups_of()
    hi.container(given, ATTRS)
    assert given["posterior"].attrs == {}


def test_numbers_of_numpy_and_booleans_become_plain_attributes():
    c = hi.container({"posterior": draws(["A"])}, {"n": np.int64(3), "x": np.float64(1), "b": True})
    assert hi.attributes(c) == {"n": 3, "x": 1.0, "b": 1}
    assert [type(v) for v in hi.attributes(c).values()] == [int, float, int]


def test_an_attribute_that_a_file_cannot_hold_is_refused():
    with pytest.raises(ContainerError, match=r"attribute 'priors' must be a str.*got dict"):
        hi.container({"posterior": draws(["A"])}, {"priors": {}})


def test_a_missing_group_is_named_with_those_there_are(idata):
    with pytest.raises(ContainerError, match=r"no group 'postrior'.*did you mean 'posterior'"):
        hi.dataset(idata, "postrior")
    with pytest.raises(ContainerError, match=r"'log_prior'.*model.prior_predictive\(\) makes it"):
        hi.dataset(idata, "prior")


@pytest.mark.parametrize("thing", [None, 3, {"posterior": 1}, pd.DataFrame()])
def test_what_is_no_container_is_refused(thing):
    with pytest.raises(ContainerError, match=r"an ArviZ container .* is needed; got"):
        hi.dataset(thing, "posterior")


def test_a_dataset_handed_out_can_be_written_without_touching_the_container(idata):
    ds = hi.dataset(idata, "posterior")
    ds["tau"] = ds["mu"] * 2
    assert "tau" not in hi.dataset(idata, "posterior")


@pytest.mark.parametrize("name", ["prior", "log_prior", "my_own"])
def test_a_group_is_added_or_replaced_in_place(idata, name):
    new = draws(["X"], seed=6)
    hi.add(idata, name, new)
    xr.testing.assert_equal(hi.dataset(idata, name), new)
    assert hi.groups(idata).count(name) == 1
    with pytest.raises(ContainerError, match="needs at least one variable"):
        hi.add(idata, name, xr.Dataset())


def test_arviz_works_on_the_container(idata):
    assert az.loo(idata).n_data_points == 3
    assert len(az.summary(idata)) == 4


def test_datasets_that_share_indexes_are_those_that_have_their_own():
    labels = {"school": ["A", "B", "C"], "chain": range(4), "draw": range(200), "other": [1]}
    indexes = hi.indexes(labels)
    whole = groups_of()["posterior"]
    variables = {str(name): (x.dims, x.to_numpy()) for name, x in whole.items()}
    xr.testing.assert_identical(hi.labelled(variables, indexes), whole)
    one = hi.labelled({"mu": variables["mu"]}, indexes)
    xr.testing.assert_identical(one, whole[["mu"]])
    bare = hi.labelled({"x": (("row",), np.arange(3))}, indexes)
    assert not bare.coords
    # What is done to one of them is not done to the next.
    one.coords["chain"] = [7, 8, 9, 10]
    one["chain"].attrs["note"] = "mine"
    xr.testing.assert_identical(hi.labelled(variables, indexes), whole)
    path = {"posterior": hi.labelled(variables, indexes)}
    xr.testing.assert_identical(hi.dataset(hi.container(path, {}), "posterior"), whole)


# ---- importance sampling ------------------------------------------------------------------------


def heavy(k, n=4000, seed=7):
    """Log ratios whose exponentials have a Pareto tail of shape k, for each k."""
    u = np.random.default_rng(seed).random((len(k), n))
    return -np.array(k)[:, None] * np.log(u)


def test_smoothed_weights_sum_to_one_and_keep_their_order():
    ratios = heavy([0.1, 0.5, 1.5])
    log_weights, k = hi.psis(ratios)
    assert log_weights.shape == ratios.shape
    np.testing.assert_allclose(np.exp(log_weights).sum(axis=1), 1)
    # Of 189 draws in the tail, (1 + k) / sqrt(189) is the standard error.
    np.testing.assert_allclose(k, [0.1, 0.5, 1.5], atol=0.5)
    order = np.argsort(ratios, axis=1)
    assert (np.diff(np.take_along_axis(log_weights, order, axis=1), axis=1) > -1e-12).all()


@pytest.mark.parametrize(("reff", "tail"), [(1.0, 189), (0.5, 268), (2.0, 134), (0.01, 800)])
def test_the_tail_that_is_smoothed_is_as_long_on_both_lines(reff, tail):
    """M = min(S/5, 3 sqrt(S/reff)), rounded down; the rest are as they were, up to a constant."""
    ratios = heavy([0.7])
    log_weights, _ = hi.psis(ratios, reff)
    shift = (log_weights - ratios)[0, np.argsort(ratios[0])]
    changed = ~np.isclose(shift, np.median(shift), atol=1e-12)
    assert np.argmax(changed) == 4000 - tail


def test_the_smoothing_is_the_same_on_both_lines():
    """Recorded with ArviZ 0.23.4; ArviZ 1.3.0 has them to these digits."""
    log_weights, k = hi.psis(heavy([0.2, 0.7, 2.0], n=500), 0.6)
    np.testing.assert_allclose(k, [0.161642710, 0.523223003, 1.420816311], rtol=1e-6)
    top = log_weights.max(axis=1)
    np.testing.assert_allclose(top, [-5.308135573, -3.311138015, -0.552070444], rtol=1e-6)
    log_weights, _ = hi.psis(heavy([0.7], n=25))  # the fewest: a tail of five
    assert np.isfinite(log_weights).all()


def test_ratios_without_a_tail_are_left_alone_and_have_an_infinite_k():
    ratios = np.zeros((3, 100))
    ratios[1] = np.random.default_rng(1).normal(size=100)
    ratios[2, 0] = -1.0
    given = ratios.copy()
    log_weights, k = hi.psis(ratios)
    assert np.isinf(k[[0, 2]]).all()
    assert np.isfinite(k[1])
    np.testing.assert_allclose(log_weights[0], -np.log(100))
    np.testing.assert_allclose(np.exp(log_weights).sum(axis=1), 1)
    np.testing.assert_array_equal(ratios, given)


# ---- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        ("A", "B", "C"),
        ("", "Ö, [x]", "a longer label"),
        (10, 2, 33),
        pd.Index(["north", "south", "east"]),
        np.array(["north", "south", "east"], dtype=object),
        pd.array(["n", "s", "e"], dtype="string"),
    ],
    ids=["text", "odd text", "integers", "pandas index", "objects", "pandas string"],
)
def test_a_file_gives_back_what_was_written(tmp_path, labels):
    given = hi.container(groups_of(labels), ATTRS)
    path = hi.save(given, tmp_path / "fit.nc")
    got = hi.load(path)
    assert hi.attributes(got) == ATTRS
    assert set(hi.groups(got)) == set(hi.groups(given))
    for name in hi.groups(given):
        before, after = hi.dataset(given, name), hi.dataset(got, name)
        xr.testing.assert_identical(before, after)
        for variable in before.variables:
            assert after[variable].dtype == before[variable].dtype, (name, variable)
    assert type(hi.dataset(got, "posterior").attrs["seed"]) is int
    assert hi.dataset(got, "posterior")["school"].dtype.kind in "iU"
    assert list(tmp_path.iterdir()) == [path]


# ArviZ 0.20 has no name for our groups, and says so when it reads them itself.
@pytest.mark.filterwarnings("ignore:.*not defined in the InferenceData scheme")
def test_arviz_reads_our_file_and_we_read_arvizs(tmp_path, idata):
    hi.save(idata, tmp_path / "ours.nc")
    theirs = az.from_netcdf(tmp_path / "ours.nc")
    xr.testing.assert_equal(hi.dataset(theirs, "posterior").load(), groups_of()["posterior"])
    getattr(theirs, "close", lambda: None)()
    idata.to_netcdf(str(tmp_path / "theirs.nc"))
    xr.testing.assert_equal(
        hi.dataset(hi.load(tmp_path / "theirs.nc"), "posterior"), groups_of()["posterior"]
    )


def test_a_loaded_file_is_closed_and_no_longer_needed(tmp_path, idata):
    path = hi.save(idata, tmp_path / "fit.nc")
    got = hi.load(path)
    hi.save(got, path)
    path.unlink()
    assert np.isfinite(hi.dataset(got, "log_likelihood")["effect"].to_numpy()).all()


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, idata):
    path = hi.save(idata, tmp_path / "fit.nc")
    before = path.read_bytes()
    labels = np.array(["A", 1, None], dtype=object)
    hi.add(idata, "my_own", xr.Dataset({"x": ("g", [1.0, 2, 3])}, coords={"g": labels}))
    with pytest.raises(ContainerError, match=r"cannot write .*fit\.nc: "):
        hi.save(idata, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_who_reads_the_old_file_goes_on_reading_it_while_the_new_one_takes_its_place(
    tmp_path, idata
):
    path = hi.save(idata, tmp_path / "fit.nc")
    before = path.read_bytes()
    with path.open("rb") as reader:
        hi.save(hi.container({"posterior": draws(["A"], seed=8)}, {}), path)
        assert reader.read() == before
    assert path.read_bytes() != before


def test_a_file_is_as_readable_as_any_other(tmp_path, idata):
    plain = tmp_path / "plain"
    plain.touch()
    assert hi.save(idata, tmp_path / "fit.nc").stat().st_mode == plain.stat().st_mode


def test_where_a_file_cannot_be_written_the_folder_is_named(tmp_path, idata):
    with pytest.raises(ContainerError, match=r"create the folder .*missing first"):
        hi.save(idata, tmp_path / "missing" / "fit.nc")
    with pytest.raises(ContainerError, match="it is a folder"):
        hi.save(idata, tmp_path)


def test_a_file_that_is_not_there_gets_a_suggestion(tmp_path, idata):
    hi.save(idata, tmp_path / "schools.nc")
    with pytest.raises(ContainerError, match=r"there is no file .*did you mean 'schools\.nc'"):
        hi.load(tmp_path / "school.nc")
    with pytest.raises(ContainerError, match="check the path"):
        hi.load(tmp_path / "missing" / "x.nc")
    with pytest.raises(ContainerError, match="it is a folder"):
        hi.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "an empty file"),
        (b"school,effect\nA,28\n", "another kind of file"),
        (b"CDF\x01" + bytes(20), "a classic NetCDF-3 file"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, content, what):
    (tmp_path / "x.nc").write_bytes(content)
    with pytest.raises(ContainerError, match=f"NetCDF-4 .* is needed, and this is {what}"):
        hi.load(tmp_path / "x.nc")


@pytest.mark.parametrize("part", [0.02, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_refused(tmp_path, idata, part):
    path = hi.save(idata, tmp_path / "fit.nc")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ContainerError, match="damaged or cut short"):
        hi.load(path)


def test_a_file_without_draws_is_refused_with_what_it_has(tmp_path):
    path = tmp_path / "x.nc"
    xr.Dataset({"rain": ("day", [1.0])}).to_netcdf(path, group="weather", engine="h5netcdf")
    with pytest.raises(ContainerError, match="no group 'posterior'; it has 'weather'"):
        hi.load(path)
    xr.Dataset({"rain": ("day", [1.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ContainerError, match="it has no groups"):
        hi.load(path)
