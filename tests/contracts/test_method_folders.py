"""Every folder of method_containers/ keeps what the documentation promises of it."""

from __future__ import annotations

import ast
import re

import pytest
from lanner.config import bundled_root
from lanner.methods import MANIFEST, load

ROOT = bundled_root() / "method_containers"
FOLDERS = sorted(path.parent for path in ROOT.glob(f"*/{MANIFEST}"))
PYTHON = [folder for folder in FOLDERS if (folder / "predict.py").is_file()]
HEADINGS = ("## Formula", "## Source", "## What it cannot answer", "## By hand")
FORMULAS = {"perturbation-response": "prediction = ", "network-inference": "network[r, t] = "}
BUILDKIT = re.compile(r"^#\s*syntax=|--mount=|--chmod=|--link\b|<<[-\w\"']", re.MULTILINE)


def dockerfile(folder):
    return (folder / "Dockerfile").read_text(encoding="utf-8")


def test_every_folder_here_is_a_method():
    folders = {path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))}
    assert folders == set(FOLDERS)
    assert {"additive", "context-mean-delta", "linear-embedding", "no-change", "train-mean"} <= {
        folder.name for folder in FOLDERS
    }


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_manifest_fits_its_schema_and_cites_something(folder):
    method = load(folder)
    assert method.document["references"]
    assert method.summary.endswith(".")
    assert set(method.tasks) & set(FORMULAS)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_readme_gives_formula_source_and_limits(folder):
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    positions = [lines.index(heading) for heading in HEADINGS]
    assert positions == sorted(positions)
    text = "\n".join(lines)
    assert any(FORMULAS[task] in text for task in load(folder).tasks)
    assert all(reference.removeprefix("doi:") in text for reference in load(folder).document["references"])


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_image_is_built_by_the_classic_builder_and_runs_unprivileged(folder):
    text = dockerfile(folder)
    assert not BUILDKIT.search(text)
    users = re.findall(r"^USER\s+(\S+)", text, re.MULTILINE)
    assert users and users[-1].partition(":")[0] not in {"0", "root"}
    assert not re.search(r"^VOLUME\b", text, re.MULTILINE), (
        "a volume is writable in spite of a read-only root"
    )


@pytest.mark.parametrize("folder", PYTHON, ids=lambda folder: folder.name)
def test_a_python_program_stands_alone_and_is_short(folder):
    source = (folder / "predict.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in imported if name.split(".")[0] == "lanner"}
    assert len(source.splitlines()) <= 180
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert [name for name in functions if name in {"read", "predict", "write"}] == [
        "read",
        "predict",
        "write",
    ]


def test_python_methods_on_one_stack_share_their_first_layers():
    heads = {tuple(dockerfile(folder).splitlines()[:2]) for folder in PYTHON}
    stacks = {line for head in heads for line in head if line.startswith("RUN pip install")}
    assert len(heads) == len(stacks), "one RUN line per stack, byte for byte"


@pytest.mark.parametrize("folder", PYTHON, ids=lambda folder: folder.name)
def test_pinned_versions_are_those_the_tests_run_with(folder):
    constraints = bundled_root() / "constraints.txt"
    if not constraints.is_file():
        pytest.skip("constraints.txt is not part of an installed wheel")
    known = set(constraints.read_text(encoding="utf-8").split())
    line = next(line for line in dockerfile(folder).splitlines() if line.startswith("RUN pip install"))
    requirements = [word for word in line.split()[3:] if not word.startswith("-")]
    assert requirements and set(requirements) <= known
