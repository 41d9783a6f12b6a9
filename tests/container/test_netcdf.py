"""What goes into a file comes out of it; what is no fit is refused."""

import errno
import gc
import os
import re
import shutil
import subprocess
import sys
import textwrap
import warnings

import arviz as az
import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hiermodels as hm
from hiermodels.cli import main as cli
from hiermodels.container import inference_data as hi
from hiermodels.container import netcdf
from hiermodels.errors import ContainerError, HierModelsWarning
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


SEAL = re.compile(rb"\nhiermodels sha256 [0-9a-f]{64}\n\Z")


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


def by_hdf5(content):
    """What of a file is HDF5's: all before the seal, where it has one."""
    return content[: content.rfind(b"\nhiermodels sha256 ")] if SEAL.search(content) else content


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
        f"cannot read {path}: the file is cut short, {left} of {len(by_hdf5(whole))} bytes; write "
        "it again, or fetch it again"
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
    with pytest.raises(ContainerError, match=r"damaged.* \(.+\); write it again, or "):
        netcdf.load(path)
    gc.collect()
    assert capfd.readouterr() == ("", "")


# ---- bits that are not as they were written ------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    frame = pd.DataFrame({"y": np.arange(12.0) % 5 + np.arange(12) // 3, "g": list("aaabbbcccddd")})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HierModelsWarning)  # of so few draws
        return hm.OneWay(frame, y="y", group="g").fit(engine="exact", seed=1, draws=20, chains=2)


@pytest.fixture(scope="module")
def sealed(fitted, tmp_path_factory):
    """A fit's file by this package, as bytes."""
    return netcdf.save(fitted, tmp_path_factory.mktemp("sealed") / "fit.nc").read_bytes()


@pytest.fixture(scope="module")
def unsealed(fitted, tmp_path_factory):
    """The same by ArviZ."""
    path = tmp_path_factory.mktemp("unsealed") / "fit.nc"
    fitted.to_netcdf(str(path))
    return path.read_bytes()


def flips(content, seed, number=None, places=None):
    """A file's bytes with one bit flipped: at as many places, or at these."""
    rng = np.random.default_rng(seed)
    if places is None:
        places = rng.choice(len(by_hdf5(content)), number, replace=False)
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.integers(8)
        yield int(place), flipped


def refusal(path):
    """Why a file is refused; None where it is read."""
    try:
        netcdf.load(path)
    except ContainerError as error:
        return str(error)
    return None


def assert_same(got, wanted):
    assert hi.attributes(got) == hi.attributes(wanted)
    assert hi.groups(got) == hi.groups(wanted)
    for name in hi.groups(wanted):
        xr.testing.assert_identical(hi.dataset(got, name), hi.dataset(wanted, name))


def said_of(idata, folder):
    """The summary, and the report without what differs from one minute to the next."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HierModelsWarning)
        page = hm.report(idata, folder / "report.html").read_text(encoding="utf-8")
        return hm.summary(idata).to_string(), page


def test_one_bit_that_is_not_as_it_was_written_is_noticed_wherever_it_is(tmp_path, sealed, capfd):
    path = tmp_path / "fit.nc"
    for place, flipped in flips(sealed, seed=5, number=300):
        path.write_bytes(flipped)
        said = refusal(path)
        assert said is not None, place
        assert re.fullmatch(rf"cannot read {path}: .+", said), (place, said)
    gc.collect()
    assert capfd.readouterr() == ("", "")


def test_a_bit_of_the_seal_itself_changes_no_number(tmp_path, sealed, fitted):
    path = tmp_path / "fit.nc"
    path.write_bytes(sealed)
    summary, page = said_of(netcdf.load(path), tmp_path)
    read = 0
    for place, flipped in flips(sealed, 6, places=range(len(by_hdf5(sealed)), len(sealed), 4)):
        path.write_bytes(flipped)
        if (said := refusal(path)) is not None:
            assert "damaged (its SHA-256 is not the one" in said, place
            continue
        read += 1
        got = netcdf.load(path)
        assert_same(got, fitted)
    assert read
    assert said_of(got, tmp_path) == (summary, page)


@pytest.mark.parametrize(("seed", "command"), [(1, "summary"), (2, "check"), (3, "report")])
def test_a_flipped_bit_is_one_line_to_who_types(tmp_path, sealed, seed, command, capfd):
    path = tmp_path / "fit.nc"
    more = ["-o", str(tmp_path / "report.html")] if command == "report" else []
    for place, flipped in flips(sealed, seed, number=5):
        path.write_bytes(flipped)
        assert cli.main([command, str(path), *more]) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert re.fullmatch(r"error: cannot read .*fit\.nc: .*\n", err), (place, err)


def test_a_file_without_its_whole_seal_is_cut_short(tmp_path, sealed):
    path = tmp_path / "fit.nc"
    for less in (1, 2, 40, 64):
        path.write_bytes(sealed[:-less])
        left = f"cut short, {len(sealed) - less} of {len(sealed)} bytes; write it again"
        with pytest.raises(ContainerError, match=left):
            netcdf.load(path)


def test_a_file_that_hdf5_changes_on_purpose_loses_its_seal_and_is_read(tmp_path, idata):
    path = netcdf.save(idata, tmp_path / "fit.nc")
    assert SEAL.search(path.read_bytes())
    with h5py.File(path, "a") as file:
        file["posterior/mu"][0, 0] = 99.0
    assert not SEAL.search(path.read_bytes())
    assert hi.dataset(netcdf.load(path), "posterior")["mu"].to_numpy()[0, 0] == 99.0


def test_a_file_by_arviz_with_a_bit_flipped_is_read_or_refused_in_one_line(
    tmp_path, unsealed, capfd
):
    path, read = tmp_path / "fit.nc", 0
    assert not SEAL.search(unsealed)
    for place, flipped in flips(unsealed, seed=7, number=60):
        path.write_bytes(flipped)
        said = refusal(path)
        read += said is None
        assert said is None or "\n" not in said, place
    assert 0 < read < 60
    gc.collect()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("key", "part"),
    [("columns", b'"group": "'), ("priors", b'"family": "')],
    ids=["cols", "priors"],
)
def test_an_attribute_of_ours_that_is_no_json_is_damage(tmp_path, unsealed, key, part):
    path = tmp_path / "fit.nc"
    path.write_bytes(unsealed.replace(part, part.replace(b": ", b"; ")))
    with pytest.raises(
        ContainerError, match=f"damaged .*attribute '{key}' is no JSON object: .*; write it again"
    ):
        netcdf.load(path)


def test_another_packages_attribute_of_the_same_name_is_its_own(tmp_path):
    theirs = hi.container(groups_of(), {"columns": "y, g", "inference_library": "another"})
    path = netcdf.save(theirs, tmp_path / "fit.nc")
    assert hi.attributes(netcdf.load(path))["columns"] == "y, g"


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
    small = shutil.copy(path, tmp_path / "small.nc")
    writer = opened("a")
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
