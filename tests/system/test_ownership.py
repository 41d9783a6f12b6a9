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

import platformdirs
import pytest

from hiermodels.cli import doctor
from hiermodels.errors import CmdStanError, CompileError
from hiermodels.stan import cmdstan, compiling, programs
from hiermodels.stan import wheel as shipped
from hiermodels.system import digests, ownership
from tests import fake_cmdstan
from tests.stan.test_programs import QUICK_SCRIPT
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
    """A CmdStan that compiles in a moment, one program, an empty cache, nothing looked over."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "tiny.stan").write_text("parameters { real mu; }\n")
    path = fake_cmdstan.tree(tmp_path / "cmdstan-2.27.0")
    for name in ("CXX", "MAKE", "FAKE_SECONDS", *programs.FLAG_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CMDSTAN", str(path))
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("HIERMODELS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(compiling, "_COMPILE_SCRIPT", QUICK_SCRIPT)
    monkeypatch.setattr(programs, "folder", lambda: sources)
    monkeypatch.setattr(programs, "_seen", {})
    ownership.open_in.cache_clear()
    return path


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
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_cache_that_everyone_can_write_to_is_refused(place, tmp_path, part, mode):
    made = compiled()
    planted(made.path, tmp_path / "ran")
    (place / part).chmod(mode)
    with pytest.raises(
        CompileError,
        match=rf"only you or root .* everyone \(mode {mode:04o}\); next: remove it .*HIERMODELS_CA",
    ):
        programs.executable("tiny", progress=False)
    with pytest.raises(CompileError, match="only you or root"):
        programs.entries()
    assert not (tmp_path / "ran").exists()
    found = {finding.name: finding for finding in doctor.examine()}["cache"]
    assert not found.ok


def test_the_error_is_one_line_and_has_the_next_step(place):
    compiled()
    place.chmod(0o777)
    with pytest.raises(CompileError) as caught:
        programs.cache_folder()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", [".", "programs"])
def test_a_cache_that_a_group_can_write_to_is_refused(root, place, part):
    compiled()
    os.chown(place / part, -1, OTHER)
    (place / part).chmod(0o770)
    with pytest.raises(CompileError, match=rf"by the group {OTHER} \(mode 0770\)"):
        programs.cache_folder()


def test_a_users_own_group_may_be_one_of_those_that_the_system_made_for_him(
    place, monkeypatch, tmp_path
):
    import grp
    import pwd

    compiled()
    place.chmod(0o770)
    gid = place.stat().st_gid
    me = pwd.struct_passwd(("me", "x", os.geteuid(), gid, "", "/", ""))
    monkeypatch.setattr(ownership, "ROOT", -1)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: me)
    for name, members, what in [
        ("me", [], ""),
        ("me", ["me"], ""),
        ("me", ["me", "you"], "can be written to by the group me (mode 0770)"),
        ("staff", [], "can be written to by the group staff (mode 0770)"),
    ]:
        one = grp.struct_group((name, "x", gid, members))
        monkeypatch.setattr(grp, "getgrgid", lambda _, one=one: one)
        assert ownership.fault(place) == what


@pytest.mark.parametrize("part", [".", "programs", "locks"])
def test_a_cache_of_another_user_is_refused(root, place, tmp_path, part):
    made = compiled()
    planted(made.path, tmp_path / "ran")
    os.chown(place / part, OTHER, OTHER)
    with pytest.raises(CompileError, match=rf"belongs to the user {OTHER}; next: remove it"):
        programs.executable("tiny", progress=False)
    assert not (tmp_path / "ran").exists()


def test_a_cache_below_a_folder_that_everyone_can_write_to_is_refused(tmp_path, monkeypatch):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    monkeypatch.setenv("HIERMODELS_CACHE", str(tmp_path / "shared" / "mine" / "cache"))
    with pytest.raises(
        CompileError,
        match=r"lies in .*/shared, which everyone can write to .*; next: see that others cannot "
        r"\(`chmod o-w` of that folder\), or set HIERMODELS_CACHE to a folder of your own$",
    ):
        programs.cache_folder()
    assert list((tmp_path / "shared").iterdir()) == []
    # As in /tmp: there nobody can take away what is another's.
    (tmp_path / "shared").chmod(0o1777)
    made = programs.executable("tiny", progress=False)
    assert made.path.is_relative_to(tmp_path / "shared" / "mine")
    assert stat.S_IMODE((tmp_path / "shared" / "mine").stat().st_mode) == 0o700


def test_what_another_user_made_in_a_folder_like_tmp_is_refused(root, tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    (shared / "bait").mkdir(parents=True)
    shared.chmod(0o1777)
    (shared / "bait").chmod(0o1777)
    os.chown(shared / "bait", OTHER, OTHER)
    monkeypatch.setenv("HIERMODELS_CACHE", str(shared / "bait" / "cache"))
    with pytest.raises(
        CompileError,
        match=rf"bait, which is the user {OTHER}'s, and everyone can put .*; next: set HIERMODELS_",
    ):
        programs.cache_folder()
    # Nor is one followed that leads to a good place, and can be turned.
    (shared / "link").symlink_to(tmp_path)
    os.lchown(shared / "link", OTHER, OTHER)
    monkeypatch.setenv("HIERMODELS_CACHE", str(shared / "link" / "cache"))
    with pytest.raises(CompileError, match=rf"link, which is the user {OTHER}'s"):
        programs.cache_folder()


def test_a_cache_may_be_a_link_to_a_place_that_is_ones_own(place, tmp_path, monkeypatch):
    """As where a home folder is small."""
    (tmp_path / "scratch").mkdir()
    place.symlink_to(tmp_path / "scratch")
    made = programs.executable("tiny", progress=False)
    # What is run is where it was looked over, whatever becomes of the link.
    assert made.path.is_relative_to(tmp_path / "scratch")
    (tmp_path / "scratch").chmod(0o777)
    with pytest.raises(CompileError, match=r"/scratch' can be written to by everyone"):
        programs.executable("tiny", progress=False)


@pytest.mark.parametrize("below", ["", "a/b"])
def test_a_cache_is_not_made_where_a_link_leads_to_nothing(tmp_path, monkeypatch, below):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    monkeypatch.setenv("HIERMODELS_CACHE", str(tmp_path / "link" / below))
    says = "/link is a link to .*/gone, which is not there.*; next: set HIERMODELS_CACHE"
    with pytest.raises(CompileError, match=says):
        programs.executable("tiny", progress=False)
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("named", ["", "~/cache", "~nosuchuser/cache"])
def test_a_home_that_nobody_knows_is_no_folder_in_this_one(tmp_path, monkeypatch, named):
    """Where there is none, some versions of platformdirs give back what was to be replaced."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIERMODELS_CACHE", named)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *_, **__: "~/.cache/it")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(
        CompileError, match=r"home folder, .* \(there is no home folder\); next: set"
    ):
        programs.executable("tiny", progress=False)
    assert sorted(tmp_path.iterdir()) == before


def test_a_part_of_the_cache_may_not_be_a_link(place, tmp_path):
    compiled()
    shutil.move(place / "programs", tmp_path / "elsewhere")
    (place / "programs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CompileError, match="holds programs, which is a link"):
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
    for finding in doctor._cache():
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


def test_a_cache_that_root_filled_for_others_is_listed_and_is_no_fault(root, common):
    place = common / "shared" / "a"
    made = Path(as_user(0, common)).parent
    for path in (place, *place.rglob("*")):
        path.chmod(0o755)
    before = sorted(place.rglob("*"))
    found = as_user(OTHER, common, "doctor")
    assert found + " " == f"True read-only, 1 of 1 programs can be run, {place} -> "
    said = as_user(OTHER, common, "cache").splitlines()
    assert said[1].split()[:2] == ["tiny", "2.27.0"]
    assert said[-2:] == [f"1 compiled programs, 0.0 MB, in {place}", "exit code 0"]
    said = as_user(OTHER, common, "compile", "tiny").splitlines()
    assert said[-2:] == [f"1 program is compiled, in {place}", "exit code 0"]
    assert sorted(place.rglob("*")) == before
    # What is damaged there does not mend itself.
    (made / "tiny").write_text("")
    found = as_user(OTHER, common, "doctor")
    assert re.fullmatch(
        r"False .* \(mode 0755\)\); damaged: tiny -> set HIERMODELS_CACHE .*", found
    )
    # One that cannot be written to and has nothing in it is of no use.
    shutil.rmtree(made)
    says = rf"{place} belongs to the user root \(mode 0755\)\).* set HIERMODELS_CACHE to another"
    for command in ("doctor", "compile tiny"):
        said = as_user(OTHER, common, *command.split())
        assert re.search(says, said), said
        assert not said.startswith("True")
        assert "1 of 1" not in said


def test_a_cache_that_cannot_be_read_is_said_to_be_its_owners(root, common):
    place = common / "shared" / "a"
    as_user(0, common)
    for command in ((), ("compile", "tiny"), ("doctor",)):
        said = as_user(OTHER, common, *command)
        assert f"{place} belongs to the user root (mode 0700)" in said
        assert not said.startswith("True")
        assert "read-only" not in said
    listed = as_user(OTHER, common, "cache")
    assert re.match(r"error: .* must be one that can be read, and .*; next: set HIER", listed)
    assert f"is not (the folder {place} belongs to the user root (mode 0700)); next" in listed
    # Below a folder that is closed.
    (common / "shared").chmod(0o700)
    for command in ("cache", "doctor", "compile tiny"):
        said = as_user(OTHER, common, *command.split())
        why = f"is not (the folder {common / 'shared'} belongs to the user root (mode 0700))"
        assert why in said, said
        assert re.search("(next:|->) set HIERMODELS_CACHE to another folder", said), said
    (common / "shared").chmod(0o1777)
    # One whose entries can be named, and no more.
    place.chmod(0o755)
    (place / "programs").chmod(0o744)
    listed = as_user(OTHER, common, "cache")
    assert re.match(r"error: .* must be one that can be read, and .*; next: set HIER", listed)
    for command in ((), ("compile", "tiny"), ("doctor",)):
        said = as_user(OTHER, common, *command)
        assert f"{place} belongs to the user root (mode 0755)" in said
        assert "next: set HIERMODELS_CACHE" in said or command == ("doctor",)
        assert not said.startswith("True")


def test_why_a_folder_cannot_be_written_to_is_said_by_owner_or_mode(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o500)
    assert ownership.closed(mine) == "is closed to you (mode 0500)"


def test_a_read_only_cache_says_what_is_not_in_it(root, common):
    place = common / "shared" / "a"
    as_user(0, common)
    for path in (place, *place.rglob("*")):
        path.chmod(0o755)
    (common / "sources" / "small.stan").write_text("parameters { real nu; }\n")
    found = as_user(OTHER, common, "doctor")
    assert found == (
        f"True read-only, 1 of 2 programs can be run, {place} -> for 'small' set HIERMODELS_CACHE "
        "to another"
    )


@pytest.mark.parametrize("other", [{"cmdstan_version": "2.26.1"}, {"digest": "0" * 64}])
def test_a_read_only_cache_of_other_programs_is_of_no_use(root, common, other):
    place = common / "shared" / "a"
    manifest = Path(as_user(0, common)).with_name("manifest.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | other))
    for path in (place, *place.rglob("*")):
        path.chmod(0o755)
    found = as_user(OTHER, common, "doctor")
    assert re.match(r"False .* belongs to the user root \(mode 0755\)\) -> set HIER", found)
    # As a fit has it.
    assert "belongs to the user root (mode 0755)" in as_user(OTHER, common)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("fit", "one-way", "secret.csv", "--y", "y", "--group", "g"), "'FILE': path .*secret.csv"),
        (
            ("fit", "one-way", "shut/d.csv", "--y", "y", "--group", "g"),
            r"cannot be opened \(the folder .*/shut belongs to the user root \(mode 0700\)\); have",
        ),
        (("summary", "secret.csv"), "'FIT.nc': path .*secret.csv"),
        (("datasets", "eight_schools", "-o", "closed.csv"), "--output: the folder .* name a file"),
        (
            ("datasets", "eight_schools", "-o", "shut/in/closed.csv"),
            r"--output: the folder .*/shut belongs to the user root \(mode 0700\); name another",
        ),
        (
            ("datasets", "eight_schools", "-o", "room/theirs.csv"),
            r"theirs.csv cannot be written to, it belongs to the user root \(mode 0600\); see",
        ),
        (("resume", "shut"), "'FOLDER': path .*shut' is not readable; see whose it is, and its"),
        (("resume", "half-shut"), "FOLDER must .* and '.*shut' cannot be read; see whose it is"),
        (("resume", "shut/in"), "FOLDER must .* and '.*shut/in' is not there; check the path"),
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


def test_what_cannot_be_removed_is_put_out_of_the_way(root, common):
    mine = Path(as_user(OTHER, common))
    for path in (mine.parent, *mine.parent.iterdir()):
        os.chown(path, THIRD, THIRD)
    assert as_user(OTHER, common) == str(mine)
    assert mine.stat().st_uid == mine.parent.stat().st_uid == OTHER
    assert (common / "log").read_text().split() == ["tiny", "tiny"]


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
        says = "can be written to by everyone (mode 0777)"
    assert [entry.ok for entry in programs.entries()] == [False]
    again = programs.executable("tiny")
    assert f"the cached executable of tiny {says}: compiling it anew" in capfd.readouterr().err
    assert again.path.read_bytes() == whole
    assert again.path.stat().st_uid == os.geteuid()
    assert not (tmp_path / "ran").exists()


def test_a_linked_entry_is_not_followed(place, tmp_path, capfd):
    made = compiled()
    planted(made.path, tmp_path / "ran")
    shutil.move(made.path.parent, tmp_path / "elsewhere")
    made.path.parent.symlink_to(tmp_path / "elsewhere")
    assert not programs.executable("tiny").path.parent.is_symlink()
    assert "the cached executable of tiny is a link" in capfd.readouterr().err
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("part", ["programs", "entry", "executable"])
def test_a_change_of_who_can_write_is_seen_in_the_same_process(place, part):
    made = programs.executable("tiny", progress=False)
    path = {"programs": place / "programs", "entry": made.path.parent, "executable": made.path}
    path[part].chmod(0o777)
    if part == "programs":
        with pytest.raises(CompileError, match="everyone"):
            programs.executable("tiny", progress=False)
    else:
        assert programs.executable("tiny", progress=False).path.stat().st_mode & 0o077 == 0
        assert fake_cmdstan.log() == ["tiny", "tiny"]


# ---- what is compiled without a compiler, or in a read-only cache -------------------------------


def test_without_a_compiler_only_what_our_options_made_is_run(monkeypatch):
    made = compiled()
    monkeypatch.setenv("CXX", "absent++")
    assert programs.executable("tiny", progress=False) == made
    for options in (programs.STANC_OPTIONS, programs.CPP_OPTIONS):
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
    assert programs._ready(place, programs.load("tiny"), found) is None
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
        says = "can be written to by everyone (mode 0777)"
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
    assert "can be written to by the group" in shipped.fault(found)


# ---- CmdStan ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "part",
    [
        ".",
        *("makefile", "bin", "bin/stanc", "src/cmdstan", "src/cmdstan/main.o"),
        *("stan/lib/stan_math/lib/tbb", "stan/lib/stan_math/lib/tbb/libtbb.so.2"),
        *("make", "make/local"),
    ],
)
def test_a_cmdstan_that_everyone_can_write_to_is_refused(fake, tmp_path, part):
    (fake / "make").mkdir()
    (fake / "make" / "local").write_text("")
    (fake / "bin" / "stanc").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (fake / part).chmod(0o777)
    with pytest.raises(CmdStanError, match=r"everyone .*mode 0777\); next: set it to another"):
        programs.executable("tiny", progress=False)
    with pytest.raises(CmdStanError, match="everyone"):
        programs.check_syntax("tiny")
    assert not (tmp_path / "ran").exists()


def test_a_program_is_not_compiled_from_a_header_that_everyone_can_write_to(fake):
    header = fake / "stan" / "src" / "stan" / "model" / "model_base.hpp"
    header.parent.mkdir(parents=True)
    header.write_text("")
    header.chmod(0o666)
    with pytest.raises(
        CmdStanError, match=r"holds stan/src/stan/model/model_base.hpp, which .*next: `chmod -R o-w"
    ):
        programs.executable("tiny", progress=False)
    assert fake_cmdstan.log() == []


def test_a_cmdstan_that_anyone_could_have_put_there_is_refused(root, fake, tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    shutil.move(fake, shared / "cmdstan")
    monkeypatch.setenv("CMDSTAN", str(shared / "cmdstan"))
    assert cmdstan.find() is not None
    os.chown(shared / "cmdstan", OTHER, OTHER)
    with pytest.raises(CmdStanError, match=rf"is the user {OTHER}'s, and everyone can put things"):
        cmdstan.find()
    shared.chmod(0o777)
    with pytest.raises(CmdStanError, match=r"lies in .*shared, which everyone can write to"):
        cmdstan.find()


def test_a_cmdstan_of_an_administrator_or_a_group_is_used(root, fake):
    for path in (fake, *fake.rglob("*")):
        os.chown(path, OTHER, THIRD)
        path.chmod(0o775)
    assert programs.executable("tiny", progress=False).cmdstan_version == "2.27.0"


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
