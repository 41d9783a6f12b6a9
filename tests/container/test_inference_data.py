"""What goes into a container of the installed ArviZ comes out of it."""

import builtins
import subprocess
import sys

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hiermodels.container import inference_data as hi
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


@pytest.mark.parametrize("module", ["inference_data", "netcdf", "psis"])
def test_importing_the_module_loads_neither_arviz_nor_xarray(module):
    code = f"import sys, hiermodels.container.{module}; "
    code += "print({'arviz', 'xarray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_container_is_the_class_of_the_installed_line(idata):
    assert hi.arviz_version() == az.__version__
    assert type(idata).__name__ == {"0.x": "InferenceData", "1.x": "DataTree"}[hi.arviz_line()]


@pytest.mark.skipif(hi.arviz_line() == "0.x", reason="its container is a class of its own")
def test_on_arviz_1_a_container_is_built_checked_and_summed_up_without_importing_it():
    code = (
        "import sys, numpy as np, xarray as xr, hiermodels as hm;"
        "from hiermodels.container import inference_data;"
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
        (PermissionError(13, "Permission denied"), r"denied\).*set HOME or XDG_CACHE_HOME"),
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


@pytest.mark.parametrize("name", ["prior", "log_prior", "my_own"])
def test_a_group_is_added_or_replaced_in_place(idata, name):
    new = draws(["X"], seed=6)
    hi.add(idata, name, new)
    xr.testing.assert_equal(hi.dataset(idata, name), new)
    assert hi.groups(idata).count(name) == 1
    with pytest.raises(ContainerError, match="needs at least one variable"):
        hi.add(idata, name, xr.Dataset())


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
