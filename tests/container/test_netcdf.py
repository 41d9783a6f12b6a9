"""What goes into a file comes out of it; what is no fit is refused."""

import gc
import hashlib
import subprocess
import sys

import arviz as az
import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hiermodels.container import inference_data as hi
from hiermodels.container import netcdf
from hiermodels.errors import ContainerError
from tests.container.test_inference_data import ATTRS, draws, groups_of


@pytest.fixture
def idata():
    return hi.container(groups_of(), ATTRS)


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
    path = netcdf.save(given, tmp_path / "fit.nc")
    got = netcdf.load(path)
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
    netcdf.save(idata, tmp_path / "ours.nc")
    theirs = az.from_netcdf(tmp_path / "ours.nc")
    xr.testing.assert_equal(hi.dataset(theirs, "posterior").load(), groups_of()["posterior"])
    getattr(theirs, "close", lambda: None)()
    idata.to_netcdf(str(tmp_path / "theirs.nc"))
    xr.testing.assert_equal(
        hi.dataset(netcdf.load(tmp_path / "theirs.nc"), "posterior"), groups_of()["posterior"]
    )


def test_a_loaded_file_is_closed_and_no_longer_needed(tmp_path, idata):
    path = netcdf.save(idata, tmp_path / "fit.nc")
    got = netcdf.load(path)
    netcdf.save(got, path)
    path.unlink()
    assert np.isfinite(hi.dataset(got, "log_likelihood")["effect"].to_numpy()).all()


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, idata):
    path = netcdf.save(idata, tmp_path / "fit.nc")
    before = path.read_bytes()
    labels = np.array(["A", 1, None], dtype=object)
    hi.add(idata, "my_own", xr.Dataset({"x": ("g", [1.0, 2, 3])}, coords={"g": labels}))
    with pytest.raises(ContainerError, match=r"cannot write .*fit\.nc: "):
        netcdf.save(idata, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_where_a_file_cannot_be_written_the_folder_is_named(tmp_path, idata):
    with pytest.raises(ContainerError, match=r"create the folder .*missing first"):
        netcdf.save(idata, tmp_path / "missing" / "fit.nc")
    with pytest.raises(ContainerError, match="it is a folder"):
        netcdf.save(idata, tmp_path)


def test_a_file_that_is_not_there_gets_a_suggestion(tmp_path, idata):
    netcdf.save(idata, tmp_path / "schools.nc")
    with pytest.raises(ContainerError, match=r"there is no file .*did you mean 'schools\.nc'"):
        netcdf.load(tmp_path / "school.nc")
    with pytest.raises(ContainerError, match="check the path"):
        netcdf.load(tmp_path / "missing" / "x.nc")
    with pytest.raises(ContainerError, match="it is a folder"):
        netcdf.load(tmp_path)


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
        netcdf.load(tmp_path / "x.nc")


def by_hdf5_of_old(idata, path):
    with h5py.File(path, "w", libver="earliest") as file:
        file["posterior/mu"] = np.zeros(1000)


WRITERS = {
    "this package": netcdf.save,
    "ArviZ": lambda idata, path: idata.to_netcdf(str(path)),
    "HDF5 of old": by_hdf5_of_old,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_cut_short_anywhere_is_refused(tmp_path, idata, writer):
    path = tmp_path / "fit.nc"
    WRITERS[writer](idata, path)
    whole = path.read_bytes()
    for left in (8, 20, 40, *(int(len(whole) * part) for part in (0.02, 0.3, 0.9, 0.999)), -1):
        path.write_bytes(whole[:left])
        with pytest.raises(
            ContainerError, match=r"damaged or cut short \(.+\); write it again, or "
        ):
            netcdf.load(path)


@pytest.mark.parametrize("hole", [(100, 4000), (2000, 6000)], ids=["in the root", "further on"])
def test_a_file_with_a_hole_is_refused_and_nothing_is_printed(tmp_path, idata, hole, capfd):
    path = netcdf.save(idata, tmp_path / "fit.nc")
    content = bytearray(path.read_bytes())
    content[slice(*hole)] = bytes(hole[1] - hole[0])
    path.write_bytes(content)
    with pytest.raises(ContainerError, match=r"damaged.* \(.+\); write it again, or "):
        netcdf.load(path)
    gc.collect()
    assert capfd.readouterr() == ("", "")


def refusal(path):
    """Why a file is refused; None where it is read."""
    try:
        netcdf.load(path)
    except ContainerError as error:
        return str(error)
    return None


def test_a_file_with_a_bit_flipped_is_read_or_refused_in_one_line(tmp_path, idata, capfd):
    path, rng = netcdf.save(idata, tmp_path / "fit.nc"), np.random.default_rng(7)
    whole, read = path.read_bytes(), 0
    for place in rng.choice(len(whole), 20, replace=False):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        said = refusal(path)
        read += said is None
        assert said is None or "\n" not in said, place
    assert 0 < read < 20
    gc.collect()
    assert capfd.readouterr() == ("", "")


def test_a_file_of_an_earlier_version_with_its_hash_at_the_end_is_read(tmp_path, idata):
    path = netcdf.save(idata, tmp_path / "fit.nc")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with path.open("ab") as file:
        file.write(f"\nhiermodels sha256 {digest}\n".encode())
    got = netcdf.load(path)
    for name in hi.groups(idata):
        xr.testing.assert_identical(hi.dataset(got, name), hi.dataset(idata, name))


@pytest.mark.parametrize("key", ["columns", "priors"])
def test_an_attribute_of_ours_that_is_no_json_is_damage(tmp_path, key):
    ours = hi.container(groups_of(), {key: '{"group"; "g"}', "inference_library": "hiermodels"})
    path = netcdf.save(ours, tmp_path / "fit.nc")
    with pytest.raises(
        ContainerError, match=f"damaged .*attribute '{key}' is no JSON object: .*; write it again"
    ):
        netcdf.load(path)


HOLDER = """
import sys, h5py
with h5py.File(sys.argv[1], sys.argv[2]) as file:
    print("open", flush=True)
    sys.stdin.read()
    print(sorted(file))
"""


@pytest.fixture
def held(tmp_path, idata, monkeypatch):
    """A file, and a function that has another process open it."""
    monkeypatch.delenv("HDF5_USE_FILE_LOCKING", raising=False)
    path, began = netcdf.save(idata, tmp_path / "fit.nc"), []

    def opened(mode):
        code = [sys.executable, "-c", HOLDER, path, mode]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        began.append(subprocess.Popen(code, text=True, **pipes))
        assert began[-1].stdout.readline() == "open\n"
        return began[-1]

    yield path, opened
    for process in began:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("mode", ["r", "a"])
def test_a_file_that_another_process_has_open_is_replaced(tmp_path, held, mode):
    path, opened = held
    other = opened(mode)
    netcdf.save(hi.container({"posterior": draws(["A"], seed=8)}, {}), path)
    assert hi.groups(netcdf.load(path)) == ("posterior",)
    # What it has open is the old file, to its end.
    assert "log_likelihood" in other.communicate("", timeout=60)[0]
    assert hi.groups(netcdf.load(path)) == ("posterior",)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_without_draws_is_refused_with_what_it_has(tmp_path):
    path = tmp_path / "x.nc"
    xr.Dataset({"rain": ("day", [1.0])}).to_netcdf(path, group="weather", engine="h5netcdf")
    with pytest.raises(ContainerError, match="no group 'posterior'; it has 'weather'"):
        netcdf.load(path)
    xr.Dataset({"rain": ("day", [1.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ContainerError, match="it has no groups"):
        netcdf.load(path)
