"""A program becomes an executable once, and what is in the cache is what was put there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import psutil
import pytest

from hiermodels.errors import (
    CmdStanError,
    CompileError,
    HierModelsError,
    OptionError,
    ToolchainError,
)
from hiermodels.stan import cache, cmdstan, compiling, programs
from hiermodels.system import digests
from tests import fake_cmdstan

PROGRAM = """\
functions {
#include shared.stanfunctions
}
parameters {
  real mu;  // location
}
model {
  mu ~ normal(middle(), 1);
}
"""
COMPILE_SCRIPT = compiling._COMPILE_SCRIPT
SHARED = """\
real middle() {
  return 0;
}
"""


TEXTS = {
    "tiny_centered.stan": PROGRAM,
    "tiny_pooled.stan": "parameters { real mu; } model { mu ~ normal(0, 1); }",
    "shared.stanfunctions": SHARED,
}


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A CmdStan that compiles two programs in a moment."""
    return fake_cmdstan.use(tmp_path, monkeypatch, TEXTS)


@pytest.fixture
def by_cmdstanpy(fake, monkeypatch):
    monkeypatch.setattr(compiling, "_COMPILE_SCRIPT", COMPILE_SCRIPT)


@pytest.fixture
def sources(tmp_path, monkeypatch):
    if not (tmp_path / "sources").exists():
        fake_cmdstan.put(tmp_path, monkeypatch, TEXTS)
    return tmp_path / "sources"


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("HIERMODELS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def is_gone(pid: int) -> bool:
    """Whether a process ends within 5 s; its parent may still have to ask for its exit code."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        end = time.monotonic() + 5
        while process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
    return True


def driver(path: Path, sources: Path, body: str) -> list[str]:
    head = f"programs.folder = lambda: Path({str(sources)!r})\n"
    return fake_cmdstan.driver(path, head + body)


# ---- programs -----------------------------------------------------------------------------------


def test_a_package_without_programs_says_so(tmp_path, monkeypatch):
    (tmp_path / "hiermodels").mkdir()
    monkeypatch.setattr(programs, "__file__", str(tmp_path / "hiermodels" / "stan" / "programs.py"))
    with pytest.raises(HierModelsError, match=r"must lie in .*/hiermodels/stan_models .*install"):
        programs.folder()
    (tmp_path / "stan_models").mkdir()
    assert programs.folder() == tmp_path / "stan_models"
    (tmp_path / "hiermodels" / "stan_models").mkdir()
    assert programs.folder() == tmp_path / "hiermodels" / "stan_models"


def test_a_program_is_its_text_and_knows_what_it_includes(sources):
    assert programs.names() == ("tiny_centered", "tiny_pooled")
    program = programs.load("tiny_centered")
    assert str(program) == program.source == PROGRAM
    assert program.includes == (sources / "shared.stanfunctions",)
    assert programs.load("tiny_pooled").includes == ()


def test_the_digest_changes_with_the_source_and_with_what_it_includes_through_others(sources):
    (sources / "shared.stanfunctions").write_text('#include "deep.stanfunctions"\n' + SHARED)
    found = {programs.load("tiny_centered").digest}
    (sources / "deep.stanfunctions").write_text("// deep\n")
    assert len(programs.load("tiny_centered").includes) == 2
    found.add(programs.load("tiny_centered").digest)
    (sources / "deep.stanfunctions").write_text("// deeper\n")
    found.add(programs.load("tiny_centered").digest)
    (sources / "tiny_centered.stan").write_text(PROGRAM + "\n")
    found.add(programs.load("tiny_centered").digest)
    assert len(found) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in found)


@pytest.mark.parametrize("name", ["tiny_centred", "../sources/tiny_centered", ""])
def test_an_unknown_program_is_an_error(fake, name):
    with pytest.raises(OptionError, match=f"no Stan program {name!r}.*take one of 'tiny_centered'"):
        programs.load(name)
    with pytest.raises(OptionError, match="no Stan program"):
        programs.compile_all(["tiny_pooled", name], progress=False)
    assert fake_cmdstan.log() == []


# ---- executables --------------------------------------------------------------------------------


def test_a_program_is_compiled_once_and_then_comes_from_the_cache(
    fake, by_cmdstanpy, sources, capfd
):
    before = dict(os.environ), os.getcwd(), sorted(os.listdir(sources))
    made = programs.executable("tiny_centered")
    said = capfd.readouterr()
    assert said.err == "compiling tiny_centered (once; about 15 s) ...\n"
    assert said.out == ""
    assert made.cmdstan_version == "2.27.0"
    assert made.path.name == "tiny_centered"
    assert made.path.parent.name == f"tiny_centered-{made.key[:16]}"
    assert subprocess.check_output([made.path, "info"], text=True).startswith("stan_version_major")
    programs._seen.clear()
    assert programs.executable("tiny_centered") == made
    assert fake_cmdstan.log() == ["tiny_centered"]
    assert capfd.readouterr().err == ""
    # Neither this process nor the folder of sources is other than before.
    assert (dict(os.environ), os.getcwd(), sorted(os.listdir(sources))) == before


def test_compiling_takes_only_what_every_release_of_cmdstanpy_has(tmp_path):
    """1.2.5 has no disable_logging; 2.0 has no compile, and stan_file comes first in it."""
    (tmp_path / "cmdstanpy.py").write_text(
        "import logging\n"
        "class CmdStanModel:\n"
        "    def __init__(self, stan_file=None, exe_file=None, force_compile=False,\n"
        "                 stanc_options=None, cpp_options=None, user_header=None):\n"
        "        assert force_compile and stan_file == 'a.stan'\n"
        "        logging.getLogger('cmdstanpy').error('what the user is not to see')\n"
        "        raise ValueError('what stanc said')\n"
    )
    options = '{"stan_file": "a.stan", "stanc_options": {}, "cpp_options": {}}'
    done = subprocess.run(
        [sys.executable, "-c", COMPILE_SCRIPT, options],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "what stanc said\n")


def test_a_second_call_looks_only_whether_something_changed(fake):
    made = programs.executable("tiny_centered", progress=False)
    start = time.perf_counter()
    for _ in range(200):
        assert programs.executable("tiny_centered") is made
    assert (time.perf_counter() - start) / 200 < 1e-3


def another_source(fake, sources, patch):
    (sources / "tiny_centered.stan").write_text(PROGRAM + "\n")


def another_flag(fake, sources, patch):
    patch.setenv("CXXFLAGS", "-O1")


def another_stanc_option(fake, sources, patch):
    patch.setitem(compiling.STANC_OPTIONS, "warn-pedantic", True)


def another_compiler(fake, sources, patch):
    other = fake.parent / "my++"
    other.write_text("#!/bin/sh\necho 'my++ 13.1'\n")
    other.chmod(0o755)
    patch.setenv("CXX", str(other))


def another_make_local(fake, sources, patch):
    (fake / "make").mkdir()
    (fake / "make" / "local").write_text("O=1\n")


def another_path(fake, sources, patch):
    other = fake_cmdstan.tree(fake.parent / "other" / "cmdstan-2.27.0")
    patch.setenv("CMDSTAN", str(other))


def another_version(fake, sources, patch):
    other = fake_cmdstan.tree(fake.parent / "cmdstan-2.36.0", "2.36.0")
    patch.setenv("CMDSTAN", str(other))


CHANGES = [value for name, value in list(globals().items()) if name.startswith("another_")]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_goes_into_an_executable_changes_its_key(fake, sources, monkeypatch, change):
    first = programs.executable("tiny_centered", progress=False)
    change(fake, sources, monkeypatch)
    second = programs.executable("tiny_centered", progress=False)
    assert second.key != first.key
    assert first.path.exists()
    assert fake_cmdstan.log() == ["tiny_centered"] * 2


def spoil_by_truncation(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-5])


def spoil_by_one_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)


def spoil_by_removal(file: Path) -> None:
    file.unlink()


def spoil_by_mode(file: Path) -> None:
    file.chmod(0o600)


def spoil_without_manifest(file: Path) -> None:
    (file.parent / "manifest.json").unlink()


def spoil_half_a_manifest(file: Path) -> None:
    text = (file.parent / "manifest.json").read_text()
    (file.parent / "manifest.json").write_text(text[:40])


def spoil_another_key(file: Path) -> None:
    manifest = json.loads((file.parent / "manifest.json").read_text())
    (file.parent / "manifest.json").write_text(json.dumps({**manifest, "key": "0" * 64}))


def spoil_what_it_needs(file: Path) -> None:
    """The file is whole, and does not run: so it is where CmdStan's TBB has gone."""
    file.write_text("#!/bin/sh\necho 'libtbb.so.2: cannot open shared object file'; exit 127\n")
    manifest = json.loads((file.parent / "manifest.json").read_text())
    manifest |= {"size": file.stat().st_size, "sha256": digests.of_file(file)}
    (file.parent / "manifest.json").write_text(json.dumps(manifest))


def spoil_by_another_version(file: Path) -> None:
    file.write_text("#!/bin/sh\necho 'stan_version_major = 2'\n")
    manifest = json.loads((file.parent / "manifest.json").read_text())
    manifest |= {"size": file.stat().st_size, "sha256": digests.of_file(file)}
    (file.parent / "manifest.json").write_text(json.dumps(manifest))


SPOILS = [value for name, value in list(globals().items()) if name.startswith("spoil_")]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_an_executable_that_is_not_what_was_put_there_is_compiled_anew(fake, capfd, spoil):
    made = programs.executable("tiny_pooled", progress=False)
    whole = made.path.read_bytes()
    spoil(made.path)
    if spoil.__name__.endswith(("manifest", "key")):  # seen in another process only
        programs._seen.clear()
    again = programs.executable("tiny_pooled")
    assert again == made
    assert again.path.read_bytes() == whole
    assert fake_cmdstan.log() == ["tiny_pooled"] * 2
    assert "the cached executable of tiny_pooled" in capfd.readouterr().err
    assert [entry.ok for entry in programs.entries()] == [True]


def test_two_processes_that_want_the_same_program_compile_it_once(fake, sources, tmp_path):
    body = "print(programs.executable('tiny_pooled').path)"
    command = driver(tmp_path / "driver.py", sources, body)
    both = [
        subprocess.Popen(
            command,
            env={**os.environ, "FAKE_SECONDS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=60) for process in both]
    said = "".join(err for _, err in answers)
    assert len({out for out, _ in answers}) == 1, said
    assert said.count("compiling tiny_pooled (once") == 1
    assert said.count("is being compiled by another process: waiting") == 1
    assert fake_cmdstan.log() == ["tiny_pooled"]


def test_a_compilation_that_is_killed_leaves_nothing_in_the_way(
    fake, sources, tmp_path, cache_folder
):
    body = (
        "import os, signal\n"
        "from hiermodels.stan import cache\n"
        "cache.shutil.copyfile = lambda a, b: os.kill(os.getpid(), signal.SIGKILL)\n"
        "programs.executable('tiny_pooled')"
    )
    done = subprocess.run(driver(tmp_path / "driver.py", sources, body), check=False)
    assert done.returncode == -signal.SIGKILL
    assert programs.entries() == []
    assert len(list((cache_folder / "programs").iterdir())) == 1
    made = programs.executable("tiny_pooled", progress=False)
    assert list((cache_folder / "programs").iterdir()) == [made.path.parent]


def test_a_program_that_does_not_compile_says_why_and_leaves_nothing(
    fake, by_cmdstanpy, sources, tmp_path, monkeypatch
):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (sources / "tiny_pooled.stan").write_text("// BROKEN\n")
    with pytest.raises(CompileError, match=r"(?s)tiny_pooled must compile .*1:// BROKEN") as caught:
        programs.executable("tiny_pooled", progress=False)
    # The file is named as the user knows it, not as it was while it was compiled.
    assert f"Semantic error in '{sources}/tiny_pooled.stan'" in str(caught.value).replace("\n", "")
    assert "exited with code" not in str(caught.value)
    assert os.listdir(tmp_path / "tmp") == []
    assert programs.entries() == []


@pytest.mark.parametrize("deaf", ["", "trap '' TERM; "], ids=["as usual", "deaf to SIGTERM"])
def test_a_compiler_that_hangs_is_ended_in_time(fake, unharmed, tmp_path, monkeypatch, deaf):
    makefile = (fake / "makefile").read_text()
    hangs = f"%: %.stan\n\t@{deaf}echo $$$$ > $(FAKE_LOG).pid; sleep 300\n"
    (fake / "makefile").write_text(makefile[: makefile.index("%: %.stan")] + hangs)
    monkeypatch.setenv("HIERMODELS_COMPILE_SECONDS", "2")
    with pytest.raises(CompileError, match=r"must compile within 2 seconds, .*set HIERMODELS_COMP"):
        programs.executable("tiny_pooled", progress=False)
    assert is_gone(int((tmp_path / "log.pid").read_text()))
    assert programs.entries() == []
    for said in ("soon", "0", "nan", "inf"):
        monkeypatch.setenv("HIERMODELS_COMPILE_SECONDS", said)
        with pytest.raises(CompileError, match=f"seconds above 0, got '{said}'"):
            programs.executable("tiny_pooled", progress=False)


def test_an_executable_that_does_not_run_is_no_success(fake):
    (fake / "bin" / "program").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(CompileError, match=r"its executable does not run \(code 3"):
        programs.executable("tiny_pooled", progress=False)


def test_without_a_compiler_what_was_compiled_still_runs(fake, monkeypatch):
    made = programs.executable("tiny_pooled", progress=False)
    monkeypatch.setenv("CXX", "absent++")
    assert programs.executable("tiny_pooled") == made
    with pytest.raises(ToolchainError, match="absent"):
        programs.executable("tiny_centered")
    shutil.rmtree(made.path.parent)
    with pytest.raises(ToolchainError, match="absent"):
        programs.executable("tiny_pooled")


def test_where_there_is_no_cmdstan_it_is_installed_first(fake, monkeypatch):
    monkeypatch.delenv("CMDSTAN")
    asked = []

    def install(**options):
        asked.append(options)
        return cmdstan.CmdStan(fake, (2, 27, 0), "installed")

    monkeypatch.setattr(cmdstan, "install", install)
    assert programs.executable("tiny_pooled", progress=False).cmdstan_version == "2.27.0"
    assert len(asked) == 1
    monkeypatch.setenv("CMDSTAN", "/nowhere")
    with pytest.raises(CmdStanError, match="CMDSTAN"):
        programs.executable("tiny_pooled")


def test_folders_with_a_space_do_not_reach_make(fake, tmp_path, monkeypatch, sources):
    spaced = tmp_path / "my files"
    (spaced / "tmp").mkdir(parents=True)
    shutil.copytree(sources, spaced / "sources")
    monkeypatch.setattr("tempfile.tempdir", str(spaced / "tmp"))
    monkeypatch.setattr(programs, "folder", lambda: spaced / "sources")
    monkeypatch.setenv("HIERMODELS_CACHE", str(spaced / "cache"))
    made = programs.executable("tiny_centered", progress=False)
    assert made.path.is_relative_to(spaced / "cache")


# ---- many ---------------------------------------------------------------------------------------


def test_all_programs_are_compiled_side_by_side(fake, by_cmdstanpy, capfd, monkeypatch):
    monkeypatch.setenv("FAKE_SECONDS", "0.2")
    where = os.getcwd()
    made = programs.compile_all(jobs=2, progress=True)
    assert [e.program.name for e in made] == ["tiny_centered", "tiny_pooled"]
    assert sorted(fake_cmdstan.log()) == ["tiny_centered", "tiny_pooled"]
    assert os.getcwd() == where
    assert "compiling Stan programs" in capfd.readouterr().err
    assert programs.compile_all(["tiny_pooled"], progress=False) == [made[1]]
    assert capfd.readouterr().err == ""


def test_one_that_fails_does_not_keep_the_others_from_being_compiled(fake, sources):
    (sources / "tiny_broken.stan").write_text("// BROKEN\n")
    with pytest.raises(CompileError, match=r"(?s)1 of 3 Stan .* \('tiny_broken'\); .*BROKEN"):
        programs.compile_all(jobs=1, progress=False)
    assert [e.name for e in programs.entries()] == ["tiny_centered", "tiny_pooled"]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("call", ["compile_all(jobs=1", "executable('tiny_centered'"])
def test_an_interruption_stops_the_compilers(fake, sources, tmp_path, sign, call):
    process = subprocess.Popen(
        driver(tmp_path / "driver.py", sources, f"programs.{call}, progress=False)"),
        env={**os.environ, "FAKE_SECONDS": "60"},
        stderr=subprocess.PIPE,
        text=True,
    )
    pid_file = tmp_path / "log.pid"
    end = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(sign)
    _, said = process.communicate(timeout=20)
    if sign == signal.SIGINT:
        assert "KeyboardInterrupt" in said
    else:
        assert process.returncode == 143
    assert is_gone(int(pid_file.read_text()))
    assert fake_cmdstan.log() == ["tiny_centered"]


@pytest.mark.parametrize("call", ["compile_all(jobs=1", "executable('tiny_centered'"])
def test_a_compilation_hears_a_signal_that_does_not_wake_the_main_thread(
    fake, sources, tmp_path, call
):
    body = f"""
import pathlib, signal, threading, time
def end():
    while not pathlib.Path({str(tmp_path / "log.pid")!r}).exists():
        time.sleep(0.1)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
threading.Thread(target=end).start()
programs.{call}, progress=False)
"""
    done = subprocess.run(
        driver(tmp_path / "driver.py", sources, body),
        env={**os.environ, "FAKE_SECONDS": "60"},
        timeout=40,
        check=False,
    )
    assert done.returncode == 143
    assert is_gone(int((tmp_path / "log.pid").read_text()))


# ---- cache --------------------------------------------------------------------------------------


def test_entries_say_what_is_there_and_clear_removes_it(fake, cache_folder):
    made = programs.compile_all(progress=False)
    entries = programs.entries()
    assert [(e.name, e.key, e.path) for e in entries] == [
        (m.program.name, m.key[:16], m.path.parent) for m in made
    ]
    assert all(e.ok and e.cmdstan_version == "2.27.0" for e in entries)
    assert all(e.size > m.path.stat().st_size for e, m in zip(entries, made, strict=True))
    age = datetime.now(tz=timezone.utc) - entries[0].created
    assert -5 < age.total_seconds() < 60
    spoil_by_truncation(made[0].path)
    assert [e.ok for e in programs.entries()] == [False, True]
    assert programs.clear(["tiny_pooled"]) == entries[1].size
    assert [e.name for e in programs.entries()] == ["tiny_centered"]
    (cache_folder / "programs" / f".new-tiny_pooled-{'0' * 16}-abc").mkdir()
    assert programs.clear() > 0
    assert list((cache_folder / "programs").iterdir()) == []
    assert programs.clear() == 0
    with pytest.raises(OptionError, match="did you mean 'tiny_pooled'"):
        programs.clear(["tiny_poled"])


def test_clear_waits_for_a_compilation(fake, cache_folder):
    made = programs.executable("tiny_pooled", progress=False)
    stem = made.path.parent.name
    freed = []
    with cache.locked(cache_folder, stem, False):
        thread = threading.Thread(target=lambda: freed.append(programs.clear()))
        thread.start()
        time.sleep(0.2)
        assert made.path.exists()
    thread.join(10)
    assert freed[0] > 0
    assert not made.path.exists()
    assert programs.executable("tiny_pooled", progress=False) == made


def test_the_cache_is_the_users_own(cache_folder, tmp_path, monkeypatch):
    assert programs.cache_folder() == cache_folder
    assert cache_folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.delenv("HIERMODELS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert programs.cache_folder().is_relative_to(tmp_path)
    monkeypatch.setenv("HIERMODELS_CACHE", "/proc/hiermodels")
    with pytest.raises(CompileError, match=r"can be written to.*next: set HIERMODELS_CACHE"):
        programs.cache_folder()
    assert programs.entries() == []  # which makes nothing


# ---- the real CmdStan ---------------------------------------------------------------------------


@pytest.mark.cmdstan
def test_a_real_program_compiles_runs_and_is_looked_over(sources, tmp_path):
    import cmdstanpy

    made = programs.executable("tiny_centered", progress=False)
    found = cmdstan.find()
    assert made.cmdstan_version == found.version_text
    model = cmdstanpy.CmdStanModel(exe_file=made.path)
    fit = model.sample(
        chains=1, iter_warmup=200, iter_sampling=200, seed=1, show_progress=False, refresh=1
    )
    assert abs(fit.stan_variable("mu").mean()) < 0.5
    # A real executable cut short does not run at all; it is noticed all the same.
    spoil_by_truncation(made.path)
    assert [entry.ok for entry in programs.entries()] == [False]


@pytest.mark.cmdstan
def test_stanc_speaks_of_errors_and_of_doubtful_places(sources):
    assert programs.check_syntax("tiny_centered") == ""
    (sources / "doubtful.stan").write_text("parameters { real<lower=0> a; } model { }\n")
    assert "a was declared but" in programs.check_syntax(sources / "doubtful.stan")
    (sources / "wrong.stan").write_text("parameters { real a }\n")
    with pytest.raises(CompileError, match=r"wrong\.stan must be accepted .*\n.*line 1"):
        programs.check_syntax("wrong")
    assert sorted(path.suffix for path in sources.iterdir()) == [".stan"] * 4 + [".stanfunctions"]
