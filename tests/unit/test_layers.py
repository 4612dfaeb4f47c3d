"""The architecture as a test: imports point downwards only, and heavy libraries stay at home (design.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lanner
import pytest

PACKAGE = Path(lanner.__file__).parent
LAYERS = (
    ("errors", "registry", "records", "owner", "interruption", "intake"),
    (
        "cards",
        "config",
        "schemas",
        "matrix",
        "moments",
        "residual",
        "h5ad",
        "datasets",
        "methods",
        "method_templates",
        "simulator",
        "resources",
    ),
    ("splits", "metrics", "compat", "networks", "bounds", "runners"),
    (
        "store",
        "references",
        "sides",
        "truth",
        "sealing",
        "requests",
        "tasks",
        "staging",
        "ingest_child",
        "ingest",
        "scoring",
        "network_scoring",
        "pairs",
        "aggregate",
        "audit",
    ),
    (
        "pipeline",
        "pod_steps",
        "scores",
        "score_units",
        "execution",
        "reaping",
        "leaderboard",
        "site",
        "catalogue",
        "cleaning",
        "doctor",
        "method_add",
        "method_check",
        "network_resource",
        "method_shell",
        "submission",
        "transfer",
        "dataset_report",
    ),
    ("cli",),
)
"""Each layer may import the ones before it; rooms of layer 2 are extension packages, strangers to each other.

``store`` comes first in its layer: it knows nothing of runs but their records.
"""
EXTENSIONS = LAYERS[2]
# A name is looked up by the whole package: its own __init__ states the contract, and may be imported.
HOMES = {
    "torch": {"metrics", "bounds", "scoring", "pairs", "aggregate"},
    "docker": {"runners"},
    "click": {"cli"},
    "rich": {"cli"},
    "h5py": {"h5ad"},
    "anndata": {"h5ad"},
    "yaml": {"schemas"},
    "jinja2": {"site", "dataset_report"},
    "plotly": {"dataset_report"},
    "pooch": {"datasets"},
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "_bundled" not in path.parts)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def house(name: str) -> str:
    """``leaderboard`` and ``site`` are one thing in two folders (design.md)."""
    return "leaderboard" if name == "site" else name


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, inside functions too, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    parts = [name.split(".") for name in imports(path)]
    found = {part[1] for part in parts if part[0] == "lanner" and len(part) > 1}
    return {name for name in found if any(name in names for names in LAYERS)}


def test_every_module_has_its_layer() -> None:
    known = {name for names in LAYERS for name in names} | {"__init__", "__main__"}
    assert {room(path) for path in MODULES} <= known


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards_only(path: Path) -> None:
    here = room(path)
    if here in ("__init__", "__main__"):
        return
    for name in rooms_imported(path) - {here}:
        assert layer(name) <= layer(here), (
            f"{here} (layer {layer(here)}) imports {name} (layer {layer(name)})"
        )
        assert not (here in EXTENSIONS and name in EXTENSIONS), f"{here} imports its neighbour {name}"


def test_there_are_no_circles_among_the_rooms() -> None:
    graph = {house(name): set[str]() for names in LAYERS for name in names}
    for path in MODULES:
        here = house(room(path))
        if here in graph:
            graph[here] |= {house(name) for name in rooms_imported(path)} - {here}
    done: list[str] = []
    while graph:
        free = [name for name, wanted in graph.items() if wanted <= set(done)]
        assert free, f"a circle among {sorted(graph)}"
        done += free
        graph = {name: wanted for name, wanted in graph.items() if name not in free}


@pytest.mark.parametrize("library", HOMES)
def test_a_heavy_library_is_imported_at_home_only(library: str) -> None:
    users = {room(path) for path in MODULES for name in imports(path) if name.split(".")[0] == library}
    assert users <= HOMES[library]


def test_the_docker_sdk_is_needed_where_containers_are_run() -> None:
    users = [path.name for path in MODULES if any(name.split(".")[0] == "docker" for name in imports(path))]
    assert set(users) <= {"docker.py", "engine.py", "images.py", "supervision.py"}


def test_no_module_is_a_drawer_for_everything() -> None:
    assert not {"utils", "helpers", "common", "misc", "base"} & {path.stem for path in MODULES}


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--help"], {"torch", "anndata", "h5py", "docker", "scipy"}),
        (["run", "--help"], {"torch", "anndata", "h5py", "docker"}),
        (["status"], {"torch", "anndata", "h5py", "docker"}),
    ],
)
def test_a_quick_command_loads_nothing_heavy(
    arguments: list[str], unwanted: set[str], tmp_path: Path
) -> None:
    program = "import atexit, sys; from lanner.cli import main\n"
    program += "atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr))\n"
    program += "sys.argv[0] = 'lanner'; main()"
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={"LANNER_HOME": str(tmp_path), "PATH": ""},
    )
    loaded = set(result.stderr.rpartition("LOADED")[2].split())
    assert not unwanted & loaded
