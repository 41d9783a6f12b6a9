"""What happens around a fit: its output goes, CmdStan goes, the clock goes back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import SamplingError
from hiermodels.stan import toolchain
from tests.engines.nuts.test_faults import BEGIN, run
from tests.engines.nuts.test_sampling import all_of, children, waiting

pytestmark = [
    pytest.mark.stan,
    pytest.mark.filterwarnings("ignore::hiermodels.errors.DiagnosticWarning"),
    pytest.mark.usefixtures("unharmed"),
]

LONG: dict[str, Any] = {
    "chains": 2,
    "draws": 60_000,
    "seed": 3,
    "progress": False,
    "pointwise": False,
    "parallel_chains": 2,
}


def schools() -> hm.EightSchools:
    return hm.EightSchools(
        hm.datasets.eight_schools(),
        effect="effect",
        se="se",
        group="school",
        parameterization="noncentered",
    )


# ---- its output ----------------------------------------------------------------------------------


def the_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def the_folder_which_is_made_again(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def the_draws(folder: Path) -> None:
    for file in folder.glob("*.csv"):
        file.unlink()


def the_draws_of_one_chain(folder: Path) -> None:
    next(folder.glob("*_1.csv")).unlink()


def all_but_the_draws(folder: Path) -> None:
    for file in folder.iterdir():
        if file.suffix != ".csv":
            file.unlink()


def fit_without(folder: Path, lose: Callable[[Path], None], **options: Any) -> Any:
    """A fit that loses files while its chains run."""
    lost: list[bool] = []

    def work() -> None:
        waiting(lambda: all_of(2))
        waiting(lambda: [f for f in folder.glob("**/*_1.csv") if f.stat().st_size > 100_000])
        (inside,) = {file.parent for file in folder.glob("**/*_1.csv")}
        time.sleep(0.3)  # until whoever watches the chains has seen the files
        lost.append(bool(children()))
        lose(inside)

    other = threading.Thread(target=work)
    other.start()
    try:
        return schools().fit(**LONG, **options)
    finally:
        other.join()
        assert lost == [True], "the chains had ended before"


@pytest.mark.parametrize(
    ("lose", "says"),
    [
        (the_folder, r"chain 0 .* was ended, as /.* was removed while it ran"),
        (the_folder_which_is_made_again, "was ended, as .*csv was removed while it ran"),
        (the_draws, "was ended, as .*csv was removed while it ran"),
        (the_draws_of_one_chain, r"chain 1 .* was ended, as .*csv was removed while it ran"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_output_that_is_removed_while_chains_run_is_named(
    tmp_path: Path, lose: Callable[[Path], None], says: str
) -> None:
    with pytest.raises(SamplingError, match=says) as caught:
        fit_without(tmp_path / "fit", lose, output_dir=tmp_path / "fit")
    assert ("hm.resume" in str(caught.value)) == bool(list(tmp_path.glob("fit/*_fit.npz")))
    if lose is the_draws_of_one_chain:
        whole = schools().fit(**LONG)
        assert_same(hm.resume(tmp_path / "fit", progress=False), whole)


def test_a_temporary_folder_that_is_removed_while_chains_run_is_named(unharmed: Path) -> None:
    with pytest.raises(SamplingError, match=r"was ended, as /.* was removed while it ran"):
        fit_without(unharmed, the_folder)


def test_without_the_files_beside_the_draws_the_result_is_the_same(tmp_path: Path) -> None:
    there = fit_without(tmp_path / "fit", all_but_the_draws, output_dir=tmp_path / "fit")
    assert_same(there, schools().fit(**LONG))


def assert_same(one: Any, other: Any) -> None:
    a, b = (idatas.dataset(idata, "posterior") for idata in (one, other))
    np.testing.assert_array_equal(a["theta"], b["theta"])


# ---- CmdStan -------------------------------------------------------------------------------------


def test_cmdstan_that_is_removed_between_two_fits_is_named(tmp_path: Path) -> None:
    said = run(
        tmp_path / "unused",
        "true",
        """
        one = fit(draws=50)
        # Named, as hiermodels would install another where none is named and none is found.
        found = os.environ["CMDSTAN"] = str(hm.cmdstan.find().path)
        assert os.system(f"mount -t tmpfs none '{found}'") == 0
        tried(lambda: fit(draws=50))
        print(model.fit(engine="exact", draws=50, seed=1, progress=False) is not None)
        assert os.system(f"umount '{found}'") == 0
        again = fit(draws=50)
        one, other = (inference_data.dataset(x, "posterior")["theta"] for x in (one, again))
        print("the same:", one.equals(other))
        """,
    )
    assert said.splitlines()[1:] == ["True", "the same: True"]
    assert said.startswith("CmdStanError")


# ---- the clock -----------------------------------------------------------------------------------

CLOCK = r"""
// The clock of a process, and of its children, that is set back by years once a file is there.
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long back() {
  const char* file = getenv("CLOCK_FILE");
  return file && access(file, F_OK) == 0 ? 200000000L : 0L;
}
extern "C" int clock_gettime(clockid_t which, struct timespec* now) noexcept {
  typedef int (*real_t)(clockid_t, struct timespec*);
  static real_t real = (real_t)dlsym(RTLD_NEXT, "clock_gettime");
  int code = real(which, now);
  if (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE) now->tv_sec -= back();
  return code;
}
extern "C" time_t time(time_t* at) noexcept {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
extern "C" int gettimeofday(struct timeval* now, void*) noexcept {
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is Linux's")
def test_a_clock_that_is_set_back_changes_nothing(tmp_path: Path) -> None:
    source, library = tmp_path / "clock.cpp", tmp_path / "clock.so"
    source.write_text(CLOCK)
    found = hm.cmdstan.find()
    assert found is not None
    compiler = toolchain.toolchain(found.path).cxx
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    file, script, folder = tmp_path / "back", tmp_path / "script.py", tmp_path / "fit"
    script.write_text(
        BEGIN
        + textwrap.dedent(
            f"""
            import threading, time
            file, options = Path({str(file)!r}), dict(draws=20_000, parallel_chains=2)
            before, whole = time.time(), fit(**options)
            threading.Timer(0.3, file.touch).start()
            during = fit(**options, output_dir=folder)
            assert time.time() < before - 100_000_000, "the clock goes on"
            assert file.stat().st_mtime > time.time() + 100_000_000  # files of the future
            after = fit(**options, output_dir=folder)
            stems = sorted(p.name.removesuffix("_fit.npz") for p in folder.glob("*_fit.npz"))
            assert len(stems) == 2
            next(folder.glob(f"{{stems[1]}}_1.done")).unlink()
            resumed = hm.resume(folder, fit=stems[1], progress=False)
            thetas = [inference_data.dataset(x, "posterior")["theta"]
                      for x in (whole, during, after, resumed)]
            print([x.equals(thetas[0]) for x in thetas])
            seconds = [inference_data.attributes(x)["seconds"] for x in (whole, during, after)]
            print(all(0 < x < 60 for x in seconds), seconds)
            """
        )
    )
    done = subprocess.run(
        [sys.executable, script, folder],
        env=os.environ | {"LD_PRELOAD": str(library), "CLOCK_FILE": str(file)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "[True, True, True, True]"
    assert done.stdout.splitlines()[1].startswith("True"), done.stdout
