"""What another user could have written is never run.

Other users are real ones: where these tests run as root, files are given away with chown, and
processes become another user. Where they do not, modes alone can be tried.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hiermodels.cli import doctor
from hiermodels.errors import CmdStanError, CompileError
from hiermodels.stan import cmdstan, compiling, programs
from hiermodels.stan import wheel as shipped
from hiermodels.system import digests
from tests import fake_cmdstan
from tests.stan.test_wheel import put

OTHER = 12345  # nobody's number
THIRD = 23456


@pytest.fixture
def root() -> None:
    """What only root can do; CI runs as root."""
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("this needs to run as root")


@pytest.fixture(autouse=True)
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CmdStan that compiles one program in a moment, into an empty cache."""
    return fake_cmdstan.use(tmp_path, monkeypatch, {"tiny.stan": "parameters { real mu; }\n"})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def compiled() -> programs.Executable:
    made = programs.executable("tiny", progress=False)
    programs._seen.clear()
    return made


def planted(file: Path, trap: Path) -> None:
    """Put a program of an attacker's into an entry, whole by its manifest."""
    file.chmod(0o700)
    file.write_text(f"#!/bin/sh\ntouch {trap}\n" + fake_cmdstan.FILES["bin/program"])
    manifest = json.loads((file.parent / "manifest.json").read_text())
    manifest |= {"size": file.stat().st_size, "sha256": digests.of_file(file)}
    (file.parent / "manifest.json").write_text(json.dumps(manifest))


# ---- the cache's folder -------------------------------------------------------------------------


@pytest.mark.parametrize("part", [".", "programs", "locks"])
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702, 0o770])
def test_a_cache_that_others_can_write_to_is_refused(root, place, tmp_path, part, mode):
    made = compiled()
    os.chown(place / part, -1, OTHER)
    planted(made.path, tmp_path / "ran")
    (place / part).chmod(mode)
    with pytest.raises(
        CompileError,
        match=rf"only you or root .* others \(mode {mode:04o}\); next: remove it .*HIERMODELS_CA",
    ):
        programs.executable("tiny", progress=False)
    with pytest.raises(CompileError, match="only you or root"):
        programs.entries()
    assert not (tmp_path / "ran").exists()
    found = {finding.name: finding for finding in doctor.examine()}["cache"]
    assert not found.ok


@pytest.mark.parametrize("part", [".", "programs", "locks"])
def test_a_cache_of_another_user_is_refused(root, place, tmp_path, part):
    made = compiled()
    planted(made.path, tmp_path / "ran")
    os.chown(place / part, OTHER, OTHER)
    with pytest.raises(CompileError, match=rf"belongs to the user {OTHER}; next: remove it"):
        programs.executable("tiny", progress=False)
    assert not (tmp_path / "ran").exists()


def test_a_cache_may_be_a_link_to_a_place_that_is_ones_own(place, tmp_path, monkeypatch):
    """As where a home folder is small."""
    (tmp_path / "scratch").mkdir()
    place.symlink_to(tmp_path / "scratch")
    made = programs.executable("tiny", progress=False)
    # What is run is where it was looked over, whatever becomes of the link.
    assert made.path.is_relative_to(tmp_path / "scratch")
    (tmp_path / "scratch").chmod(0o777)
    with pytest.raises(CompileError, match=r"/scratch' can be written to by others"):
        programs.executable("tiny", progress=False)


AS_USER = """
import contextlib, io, os, sys
from pathlib import Path
from hiermodels.cli import doctor, main as cli
from hiermodels.engines.nuts import checkpoints
from hiermodels.models import resume as resumption
from hiermodels.stan import compiling, programs
from hiermodels.errors import HierModelsError

class Quick:
    executable = sys.argv[3]

compiling.sys = Quick
programs.folder = lambda: Path(sys.argv[4])
# What Python still has to load may lie where only root can read.
programs.executable("tiny", progress=False)
for command in ("cache", "compile tiny", "fit one-way nothing.csv --y y --group g"):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        cli.main(command.split())
doctor._cache()
programs._seen.clear()
uid = int(sys.argv[1])
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
os.environ["HIERMODELS_CACHE"] = sys.argv[2]
os.environ["FAKE_LOG"] = sys.argv[5]
if sys.argv[6:] == ["doctor"]:
    for finding in doctor.examine():
        if finding.name == "cache":
            print(finding.ok, finding.found, "->", finding.advice)
    sys.exit()
if sys.argv[6:]:
    sys.stderr = sys.stdout
    print("exit code", cli.main(sys.argv[6:]))
    sys.exit()
try:
    print(programs.executable("tiny", progress=False).path)
except HierModelsError as error:
    print(error)
"""


@pytest.fixture
def common(fake: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder that other users can read; pytest's own is closed to them."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    shutil.copytree(fake, folder / "cmdstan")
    shutil.copytree(tmp_path / "sources", folder / "sources")
    (folder / "sources").chmod(0o755)
    (folder / "shared").mkdir()
    (folder / "shared").chmod(0o1777)
    (folder / "log").write_text("")
    (folder / "log").chmod(0o666)
    # In the place of Python, which other users need not be able to run.
    quick = folder / "quick"
    quick.write_text(
        "#!/bin/sh\n"
        """target=$(printf %s "$5" | sed 's/.*"stan_file": "\\([^"]*\\)[.]stan".*/\\1/')\n"""
        'cd "$CMDSTAN" && exec "$MAKE" "$target"\n'
    )
    quick.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def as_user(uid: int, common: Path, *command: str) -> str:
    """Ask for the executable as a user; gives its path, or the error, or what a command says."""
    shared = common / "shared"
    given = (uid, shared / "a", common / "quick", common / "sources", common / "log", *command)
    done = subprocess.run(
        [sys.executable, "-c", AS_USER, *map(str, given)],
        env={**os.environ, "CMDSTAN": str(common / "cmdstan"), "TMPDIR": str(shared)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_one_who_is_not_root_makes_a_cache_and_uses_it_and_not_anothers(root, common):
    """The rules, with real users."""
    shared = common / "shared"

    mine = as_user(OTHER, common)
    assert mine.startswith(f"{shared}/a/programs/tiny-")
    assert os.stat(mine).st_uid == OTHER
    assert as_user(OTHER, common) == mine
    # Another user, who is let in (else the folder's own mode would keep him out), and root.
    parts = (shared / "a", *(shared / "a").rglob("*"))
    for path in parts:
        path.chmod(0o755)
    for uid in (THIRD, 0):
        assert f"the user {OTHER}" in as_user(uid, common)
    # Root's, read-only for others, as root fills it for a teaching lab: both may use it.
    for path in parts:
        os.chown(path, 0, 0)
    assert as_user(THIRD, common) == mine
    assert as_user(OTHER, common) == mine
    assert (common / "log").read_text().split() == ["tiny"]


@pytest.mark.slow
def test_a_cache_that_root_filled_for_others_is_used_as_it_is(root, common):
    place = common / "shared" / "a"
    made = Path(as_user(0, common)).parent
    for path in (place, *place.rglob("*")):
        path.chmod(0o755)
    before = sorted(place.rglob("*"))
    assert as_user(OTHER, common, "doctor").startswith("False read-only, 1 compiled programs")
    assert "1 compiled programs" in as_user(OTHER, common, "cache")
    said = as_user(OTHER, common, "compile", "tiny").splitlines()
    assert said[-2:] == [f"1 program is compiled, in {place}", "exit code 0"]
    assert sorted(place.rglob("*")) == before
    # What is of another program, or not there, is of no use.
    manifest = made / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"digest": "0" * 64}))
    says = rf"{place} belongs to the user root \(mode 0755\)\).* set HIERMODELS_CACHE to another"
    assert re.search(says, as_user(OTHER, common))
    shutil.rmtree(made)
    for command in ("doctor", "compile tiny"):
        said = as_user(OTHER, common, *command.split())
        assert re.search(says, said), said


@pytest.mark.slow
def test_a_cache_that_cannot_be_read_is_said_to_be_its_owners(root, common):
    place = common / "shared" / "a"
    as_user(0, common)
    for command in ("cache", "doctor", "compile tiny"):
        said = as_user(OTHER, common, *command.split())
        assert f"{place} belongs to the user root (mode 0700)" in said
        assert re.search("(next:|->) set HIERMODELS_CACHE to another folder", said), said


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("fit", "one-way", "secret.csv", "--y", "y", "--group", "g"), "'FILE': path .*secret.csv"),
        (
            ("fit", "one-way", "shut/d.csv", "--y", "y", "--group", "g"),
            r"cannot be opened \(the folder .*/shut belongs to the user root \(mode 0700\)\); have",
        ),
        (("datasets", "eight_schools", "-o", "closed.csv"), "--output: the folder .* name a file"),
        (
            ("datasets", "eight_schools", "-o", "room/theirs.csv"),
            r"theirs.csv cannot be written to, it belongs to the user root \(mode 0600\); see",
        ),
        (("resume", "half-shut"), "FOLDER must .* and '.*shut' cannot be read; see whose it is"),
        (("check", "shut/fit.nc"), "shut/fit.nc: Permission denied; see whose it is, and its mode"),
    ],
)
def test_files_that_a_user_may_not_touch_are_refused_with_a_next_step(root, common, command, says):
    (common / "secret.csv").touch(mode=0o600)
    (common / "shut" / "in").mkdir(parents=True)
    (common / "shut").chmod(0o700)
    (common / "half-shut").mkdir(mode=0o744)
    (common / "room").mkdir()
    (common / "room").chmod(0o777)
    (common / "room" / "theirs.csv").touch(mode=0o600)
    paths = [str(common / each) if re.search(r"shut|[.]csv", each) else each for each in command]
    line, code = as_user(OTHER, common, *paths).splitlines()
    assert re.search(says, line), line
    assert re.search(r"; \w[^;]*$", line), line
    assert code in ("exit code 1", "exit code 2")


# ---- an entry -----------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["", "manifest.json", "tiny"])
@pytest.mark.parametrize("how", [0o777, OTHER])
def test_an_entry_that_another_could_have_written_is_compiled_anew(
    place, tmp_path, capfd, request, part, how
):
    if how == OTHER:
        request.getfixturevalue("root")
    made = compiled()
    whole = made.path.read_bytes()
    planted(made.path, tmp_path / "ran")
    file = made.path.parent / part
    if how == OTHER:
        os.chown(file, OTHER, OTHER)
        says = f"belongs to the user {OTHER}"
    else:
        file.chmod(how)
        says = "can be written to by others (mode 0777)"
    assert [entry.ok for entry in programs.entries()] == [False]
    again = programs.executable("tiny")
    assert f"the cached executable of tiny {says}: compiling it anew" in capfd.readouterr().err
    assert again.path.read_bytes() == whole
    assert again.path.stat().st_uid == os.geteuid()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("part", ["programs", "entry", "executable"])
def test_a_change_of_who_can_write_is_seen_in_the_same_process(place, part):
    made = programs.executable("tiny", progress=False)
    path = {"programs": place / "programs", "entry": made.path.parent, "executable": made.path}
    path[part].chmod(0o777)
    if part == "programs":
        with pytest.raises(CompileError, match="others"):
            programs.executable("tiny", progress=False)
    else:
        assert programs.executable("tiny", progress=False).path.stat().st_mode & 0o077 == 0
        assert fake_cmdstan.log() == ["tiny", "tiny"]


# ---- what is compiled without a compiler, or in a read-only cache -------------------------------


def test_without_a_compiler_only_what_our_options_made_is_run(monkeypatch):
    made = compiled()
    monkeypatch.setenv("CXX", "absent++")
    assert programs.executable("tiny", progress=False) == made
    for options in (compiling.STANC_OPTIONS, compiling.CPP_OPTIONS):
        with monkeypatch.context() as patch:
            patch.setitem(options, "O1", True)
            with pytest.raises(CmdStanError, match="absent"):
                programs.executable("tiny", progress=False)


@pytest.mark.parametrize("how", ["folder", "entry", "executable"])
def test_without_a_compiler_nothing_that_others_can_write_to_is_run(
    place, tmp_path, monkeypatch, how
):
    made = compiled()
    planted(made.path, tmp_path / "ran")
    path = {"folder": place, "entry": made.path.parent, "executable": made.path}[how]
    path.chmod(0o777)
    monkeypatch.setenv("CXX", "absent++")
    # A folder that is none: what `_ready` looks at where the cache cannot be made or written to.
    with pytest.raises((CompileError, CmdStanError)):
        programs.executable("tiny", progress=False)
    found = cmdstan.find()
    assert found is not None
    assert programs._ready(programs.load("tiny"), found) is None
    assert not (tmp_path / "ran").exists()


# ---- what came with the package -----------------------------------------------------------------


@pytest.mark.parametrize("part", [".", "tiny", "tiny/tiny", "tiny/manifest.json", "libtbb.so.2"])
@pytest.mark.parametrize("how", [0o777, OTHER])
def test_what_came_is_not_run_where_another_could_have_written_it(
    tmp_path, monkeypatch, capfd, request, part, how
):
    if how == OTHER:
        request.getfixturevalue("root")
    folder = tmp_path / "executables"
    monkeypatch.setattr(shipped, "folder", lambda: folder)
    trap = tmp_path / "ran"
    text = f"#!/bin/sh\ntouch {trap}\n" + fake_cmdstan.FILES["bin/program"]
    file = put(programs.load("tiny"), folder, text)
    assert programs.executable("tiny").path == file
    trap.unlink()
    programs._seen.clear()
    if how == OTHER:
        os.chown(folder / part, OTHER, OTHER)
        says = f"belongs to the user {OTHER}"
    else:
        (folder / part).chmod(how)
        says = "can be written to by others (mode 0777)"
    made = programs.executable("tiny")
    assert made.path.is_relative_to(tmp_path / "cache")
    said = capfd.readouterr().err
    assert says in said
    assert "compiling one instead" in said
    assert not trap.exists()


def test_an_installation_of_another_user_is_trusted_as_its_python_code_is(
    root, tmp_path, monkeypatch
):
    """A conda environment that an administrator owns, or that a group keeps."""
    package = tmp_path / "site" / "hiermodels"
    package.mkdir(parents=True)
    monkeypatch.setattr(shipped, "__file__", str(package / "stan" / "wheel.py"))
    file = put(programs.load("tiny"), package / "executables")
    for path in (package, *package.rglob("*")):
        os.chown(path, OTHER, THIRD)
        path.chmod(0o775)
    found = shipped.find(programs.load("tiny"))
    assert found is not None
    assert shipped.fault(found) == ""
    # Not a third one's in it, nor what a group can write to in one that it cannot.
    os.chown(file, THIRD, THIRD)
    assert shipped.fault(found) == f"belongs to the user {THIRD}"
    os.chown(file, OTHER, THIRD)
    package.chmod(0o755)
    assert "can be written to by others" in shipped.fault(found)


# ---- what is made -------------------------------------------------------------------------------


def test_what_is_made_with_an_open_umask_is_still_ones_own(
    place, tmp_path, open_umask, monkeypatch
):
    monkeypatch.setenv("HIERMODELS_CACHE", str(tmp_path / "a" / "b" / "cache"))
    made = programs.executable("tiny", progress=False)
    for path in (tmp_path / "a", *(tmp_path / "a").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert programs.executable("tiny", progress=False) is made
    programs._seen.clear()
    assert programs.executable("tiny", progress=False) == made
    assert fake_cmdstan.log() == ["tiny"]
