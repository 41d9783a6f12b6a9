"""The build hook behind ``make wheel``: compiled programs in a wheel for this platform.

It is off unless HATCH_BUILD_HOOK_ENABLE_CUSTOM=true, so that any other build (pip install of the
sources, editable, sdist) makes the small wheel for all platforms, without a compiler.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ExecutablesHook(BuildHookInterface[Any]):
    """Compile all programs, and put the executables into the wheel."""

    _place: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the wheel is packed; an editable install compiles on first use as ever."""
        if version == "editable":
            return
        from packaging.tags import platform_tags

        # The package that is being built, to compile as it would compile for itself.
        sys.path.insert(0, self.root)
        try:
            from hiermodels.stan import cmdstan, programs, wheel

            found = cmdstan.ensure()
            self._place = Path(tempfile.mkdtemp(prefix="hiermodels-wheel-"))
            made = programs.compile_all()
            wheel.lay_out(self._place, made, found, cmdstan.toolchain(found.path))
        except BaseException:
            self.finalize(version, build_data, "")
            raise
        finally:
            sys.path.remove(self.root)
        build_data["force_include"][str(self._place)] = "hiermodels/executables"
        # Executables do not care for the Python, but the C library must be as new as this
        # machine's, which only the tags with its version say: plain linux_x86_64 does not.
        tags = [tag for tag in platform_tags() if "manylinux_" in tag or "musllinux_" in tag]
        build_data["tag"] = f"py3-none-{tags[0]}"
        build_data["pure_python"] = False

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """After the wheel was packed."""
        if self._place is not None:
            shutil.rmtree(self._place, ignore_errors=True)
