"""Every import points down the list of folders, and no module imports itself by a detour."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import hiermodels as hm

PACKAGE = Path(hm.__file__).parent
# From the top down: a module imports from its own folder, or from one that stands lower.
FOLDERS = [
    *("cli", "reports", "validation", "comparison", "many", "classical", "plots", "models"),
    *("engines", "posterior", "families", "diagnostics", "stan", "data", "priors", "container"),
    *("datasets", "system"),
]
GROUND = ("errors", "version")
FACE = ("hiermodels", "__main__")  # what stands above all: the map of names, and the command


def imported() -> dict[str, set[str]]:
    """For each module the modules that it imports, those inside functions and for types as well."""
    files = {file.relative_to(PACKAGE.parent): file for file in PACKAGE.rglob("*.py")}
    names = {
        ".".join(path.with_suffix("").parts).removesuffix(".__init__"): file
        for path, file in files.items()
    }
    found: dict[str, set[str]] = {}
    for name, file in names.items():
        package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
        found[name] = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                above = package[: len(package) - node.level + 1]
                home = ".".join([*above, *(node.module or "").split(".")]).rstrip(".")
                for alias in node.names:
                    inner = f"{home}.{alias.name}"
                    found[name].add(inner if inner in names else home)
    return found


def folder(name: str) -> str:
    return name.split(".")[1] if "." in name else name


def test_every_import_points_down() -> None:
    wrong = []
    for name, others in imported().items():
        here = folder(name)
        if here in FACE:
            continue
        below = [*FOLDERS[FOLDERS.index(here) :], *GROUND] if here in FOLDERS else [*GROUND]
        wrong += [f"{name} imports {other}" for other in others if folder(other) not in below]
    assert not wrong, "\n".join(sorted(wrong))


def test_no_module_imports_itself_by_a_detour() -> None:
    try:
        TopologicalSorter({k: v - {k} for k, v in imported().items()}).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def test_no_folder_and_no_module_is_too_large_to_find_ones_way_in() -> None:
    for place in (PACKAGE, *(p for p in PACKAGE.rglob("*") if p.is_dir())):
        modules = list(place.glob("*.py"))
        assert len(modules) <= 20, place
        for module in modules:
            lines = len(module.read_text(encoding="utf-8").splitlines())
            assert lines <= 400, f"{module}: {lines}"
