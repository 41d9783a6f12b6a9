"""What goes into a file comes out of it; what is no fit is refused."""

import errno
import gc
import os
import shutil
import subprocess
import sys
import textwrap

import arviz as az
import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hiermodels import inference_data as hi
from hiermodels import netcdf
from hiermodels.errors import ContainerError

from .test_inference_data import ATTRS, draws, groups_of


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


def test_who_reads_the_old_file_goes_on_reading_it_while_the_new_one_takes_its_place(
    tmp_path, idata
):
    path = netcdf.save(idata, tmp_path / "fit.nc")
    before = path.read_bytes()
    with path.open("rb") as reader:
        netcdf.save(hi.container({"posterior": draws(["A"], seed=8)}, {}), path)
        assert reader.read() == before
    assert path.read_bytes() != before


def test_a_file_is_as_readable_as_any_other(tmp_path, idata):
    plain = tmp_path / "plain"
    plain.touch()
    assert netcdf.save(idata, tmp_path / "fit.nc").stat().st_mode == plain.stat().st_mode


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


@pytest.mark.parametrize("part", [0.02, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_cut_short_is_refused_with_the_bytes_that_are_there(tmp_path, idata, part, writer):
    path = tmp_path / "fit.nc"
    WRITERS[writer](idata, path)
    whole = path.read_bytes()
    left = int(len(whole) * part)
    path.write_bytes(whole[:left])
    with pytest.raises(ContainerError) as caught:
        netcdf.load(path)
    assert str(caught.value) == (
        f"cannot read {path}: the file is cut short, {left} of {len(whole)} bytes; write it again, "
        "or fetch it again"
    )


@pytest.mark.parametrize("left", [8, 20, 40])
def test_a_file_cut_within_its_header_is_refused_in_the_words_of_hdf5(tmp_path, idata, left):
    path = netcdf.save(idata, tmp_path / "fit.nc")
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ContainerError, match=r"damaged or cut short \(.+\); write it again, or "):
        netcdf.load(path)


@pytest.mark.parametrize("hole", [(100, 4000), (2000, 6000)], ids=["in the root", "further on"])
def test_a_file_with_a_hole_is_refused_and_nothing_is_printed(tmp_path, idata, hole, capfd):
    path = netcdf.save(idata, tmp_path / "fit.nc")
    content = bytearray(path.read_bytes())
    content[slice(*hole)] = bytes(hole[1] - hole[0])
    path.write_bytes(content)
    with pytest.raises(ContainerError, match=r"damaged or cut short \(.+\); write it again, or "):
        netcdf.load(path)
    gc.collect()
    assert capfd.readouterr() == ("", "")


# ---- whole files that cannot be read now ---------------------------------------------------------

LOADED = """
import sys
import numpy as np, h5netcdf, h5py
import hiermodels as hm
from hiermodels.errors import ContainerError

small, large, *rest = sys.argv[1:]
hm.load(small)  # all that is imported for it
{before}
try:
    hm.load(large)
except ContainerError as error:
    print(error)
else:
    print("loaded")
"""
SHORT = """
import os, resource
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
most = now + (int(rest[0]) << 20)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
"""


def loaded(small, large, *more, before="", **env):
    """What another process says that loads one file after another."""
    code = LOADED.format(before=textwrap.dedent(before))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, small, large, *map(str, more)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")


LARGE = xr.Dataset({"theta": (("chain", "draw", "g"), np.zeros((4, 1000, 3000)))})


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of the address space")
def test_a_file_larger_than_the_memory_is_not_called_damaged(tmp_path, idata):
    small = netcdf.save(idata, tmp_path / "small.nc")
    large = netcdf.save(hi.container({"posterior": LARGE}, {}), tmp_path / "large.nc")
    said = loaded(small, large, 50, before=SHORT)
    assert said == (
        f"cannot read {large}: it takes more memory than there is (Unable to allocate 91.6 MiB for "
        "an array with shape (4, 1000, 3000) and data type float64); give it more, or read one "
        "group by xarray.open_dataset(..., group='posterior', engine='h5netcdf'), which leaves "
        "the draws on the disk"
    )
    assert loaded(small, large, 1000, before=SHORT) == "loaded"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of the address space")
def test_a_packed_file_larger_than_the_memory_is_not_called_damaged(tmp_path, idata):
    small, large = netcdf.save(idata, tmp_path / "small.nc"), tmp_path / "large.nc"
    packed = {"theta": {"zlib": True, "complevel": 1, "chunksizes": LARGE["theta"].shape}}
    LARGE.to_netcdf(large, group="posterior", engine="h5netcdf", encoding=packed)
    # Enough for the array, then for what is packed, and not for what is unpacked.
    for room in (100, 130, 180):
        said = loaded(small, large, room, before=SHORT)
        assert "more memory" in said, room
        assert "; write it again" not in said
    assert loaded(small, large, 1000, before=SHORT) == "loaded"


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


def test_a_file_that_another_process_writes_is_to_be_waited_for(tmp_path, held):
    path, opened = held
    writer = opened("a")
    small = netcdf.save(netcdf.load(shutil.copy(path, tmp_path / "a.nc")), tmp_path / "small.nc")
    # By another process as well: HDF5 looks once whether it is to lock files.
    assert loaded(small, path) == (
        f"cannot read {path}: another process has it open for writing; wait for its end"
    )
    writer.communicate("", timeout=60)
    assert loaded(small, path) == "loaded"


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


def test_a_file_that_others_read_is_read(held):
    path, opened = held
    opened("r")
    assert "posterior" in hi.groups(netcdf.load(path))


def test_too_many_open_files_are_no_damage(tmp_path, idata):
    path = netcdf.save(idata, tmp_path / "fit.nc")
    before = """
        import os, resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        taken = [os.dup(0) for _ in range(64 - len(os.listdir("/proc/self/fd")) + 1)]
    """
    if sys.platform != "linux":
        pytest.skip("counts files in /proc")
    said = loaded(path, path, before=before)
    assert said == (
        f"cannot read {path}: Too many open files; close some, or allow more (`ulimit -n`)"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="such a file is in Linux's /proc")
def test_a_disk_that_fails_at_once_is_named():
    with pytest.raises(
        ContainerError, match=r"^cannot read /proc/self/mem: Input/output error; se"
    ):
        netcdf.load("/proc/self/mem")


CC = shutil.which("cc")
FAILING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
ssize_t pread64(int fd, void *to, size_t n, off64_t from) {
    static ssize_t (*real)(int, void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pread64");
    if (getenv("BAD_FROM") && from >= atoll(getenv("BAD_FROM"))) {
        errno = atoi(getenv("BAD_ERRNO"));
        return -1;
    }
    return real(fd, to, n, from);
}
ssize_t pread(int fd, void *to, size_t n, off_t from) { return pread64(fd, to, n, from); }
"""


@pytest.mark.skipif(sys.platform != "linux" or CC is None, reason="needs a compiler, and Linux")
@pytest.mark.parametrize("share", [0.02, 0.6])
def test_a_disk_that_fails_further_on_is_no_damage(tmp_path, idata, share):
    """The system's answer to a read is made here, as no disk at hand fails; the rest is real."""
    (tmp_path / "bad.c").write_text(FAILING)
    bad = tmp_path / "bad.so"
    subprocess.run([CC, "-shared", "-fPIC", "-o", bad, tmp_path / "bad.c", "-ldl"], check=True)
    path = netcdf.save(idata, tmp_path / "fit.nc")
    start = int(share * path.stat().st_size)
    # C sees what Python puts into the environment.
    before = f"import os; os.environ.update(BAD_ERRNO='{errno.EIO}', BAD_FROM='{start}')"
    said = loaded(path, path, before=before, LD_PRELOAD=str(bad))
    assert said == (
        f"cannot read {path}: Input/output error; see to the disk, or the file server, that it is "
        "on"
    )


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (
            BlockingIOError(errno.ENOLCK, "(unable to lock file, errno = 37, error message = 'N')"),
            "its file system has no locks for it (No locks available); set HDF5_USE_FILE_LOCKING=",
        ),
        (KeyError("Unable to open (file read failed: errno = 116, ..)"), os.strerror(116) + "; se"),
        (FileNotFoundError(errno.ENOENT, "gone"), "it was removed as it was read; check the path"),
        (PermissionError(errno.EACCES, "shut"), "Permission denied; see whose it is, and its mode"),
        # What a damaged address makes the system say.
        (OSError(errno.EINVAL, "errno = 22"), "the file is damaged or cut short ([Errno 22] errno"),
        (KeyError("address overflowed"), "the file is damaged or cut short ('address overflowed'"),
    ],
    ids=["no locks", "a server's", "removed", "closed", "an address", "no number"],
)
def test_only_what_the_system_does_not_explain_is_damage(error, why):
    assert netcdf._why_not_read(error).startswith(why)


def test_a_file_without_draws_is_refused_with_what_it_has(tmp_path):
    path = tmp_path / "x.nc"
    xr.Dataset({"rain": ("day", [1.0])}).to_netcdf(path, group="weather", engine="h5netcdf")
    with pytest.raises(ContainerError, match="no group 'posterior'; it has 'weather'"):
        netcdf.load(path)
    xr.Dataset({"rain": ("day", [1.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ContainerError, match="it has no groups"):
        netcdf.load(path)
