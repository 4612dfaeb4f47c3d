"""Methods: found by name or path, identified by what they would run, parameters checked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from lanner import methods
from lanner.cli import lanner
from lanner.config import Settings, bundled_root
from lanner.errors import ConfigurationError
from lanner.records import Limits

MANIFEST = """name: {name}
version: "1"
label: Mine
summary: A method of my own.
licence: MIT
command: [python, run.py]
tasks: [perturbation-response]
"""


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home")


@pytest.fixture
def write_method(tmp_path):
    def write(
        name: str = "mine", more: str = "", text: str | None = None, dockerfile: str | None = "FROM a:1\n"
    ):
        folder = tmp_path / "elsewhere" / name
        folder.mkdir(parents=True)
        (folder / "method.yaml").write_text(text or MANIFEST.format(name=name) + more)
        (folder / "run.py").write_text("print()\n")
        if dockerfile is not None:
            (folder / "Dockerfile").write_text(dockerfile)
        return folder

    return write


def test_bundled_methods_are_found_by_name(settings):
    found = methods.entries(settings)
    assert {"additive", "context-mean-delta", "linear-embedding", "no-change", "train-mean"} <= set(found)
    assert list(found) == sorted(found)
    method = methods.find(settings, "additive")
    assert method == found["additive"]
    assert method.command == ("python", "predict.py")
    assert method.residual == "shift"
    assert method.deterministic
    assert methods.is_bundled(method)


def test_an_unknown_name_suggests_the_nearest(settings):
    with pytest.raises(ConfigurationError, match="did you mean 'additive'"):
        methods.find(settings, "adittive")


def test_a_method_is_found_in_home_and_by_the_path_of_its_folder(settings, write_method):
    folder = write_method()
    assert methods.find(settings, str(folder)).folder == folder
    shutil.copytree(folder, settings.home / "methods" / "mine")
    method = methods.find(settings, "mine")
    assert method.identity == methods.load(folder).identity, "where a folder lies does not matter"
    assert not methods.is_bundled(method)


def test_a_path_without_a_manifest_is_refused(settings, tmp_path):
    with pytest.raises(ConfigurationError, match=r"has no method\.yaml"):
        methods.find(settings, str(tmp_path))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("./my-metod", "there is no folder"),
        ("../elsewhere/my-method", "there is no folder"),
        ("my-image.tar", "lanner method add my-image.tar"),
    ],
)
def test_a_path_that_leads_nowhere_is_not_taken_for_a_name(settings, tmp_path, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    Path("my-image.tar").touch()
    with pytest.raises(ConfigurationError, match=says):
        methods.find(settings, name)


def test_the_name_must_equal_the_folders_name(write_method):
    folder = write_method(text=MANIFEST.format(name="other"))
    with pytest.raises(ConfigurationError, match="'other' must equal its folder's name 'mine'"):
        methods.load(folder)


def test_a_misspelt_field_is_refused_with_its_line(write_method):
    folder = write_method(more="residuals: shift\n")
    with pytest.raises(ConfigurationError, match=r"line 8: residuals.*method\.schema\.json"):
        methods.load(folder)


def test_a_folder_needs_a_dockerfile_or_a_pinned_image(write_method):
    folder = write_method(dockerfile=None)
    with pytest.raises(ConfigurationError, match="has no Dockerfile"):
        methods.load(folder)


@pytest.mark.parametrize("reference", ["ghcr.io/someone/thing:latest", "thing", "thing@sha256:12"])
def test_an_image_that_is_not_pinned_is_refused(reference, write_method):
    with pytest.raises(ConfigurationError, match="image"):
        methods.load(write_method(more=f"image: {reference}\n"))


@pytest.mark.parametrize("prefix", ["ghcr.io/someone/thing@", "localhost:5000/thing:v1@", ""])
def test_a_pinned_image_is_its_own_identity(prefix, write_method):
    digest = "sha256:" + "ab" * 32
    method = methods.load(write_method(more=f'image: "{prefix}{digest}"\n', dockerfile=None))
    assert method.identity == f"image:{prefix}{digest}"
    assert method.image == f"{prefix}{digest}"
    assert method.tag == "lanner/mine:abababababab"
    assert not methods.is_bundled(method)


def test_the_identity_covers_every_byte_that_is_built_and_nothing_else(write_method):
    folder = write_method(more="build: {args: {VERSION: a}}\n")
    first = methods.load(folder).identity
    assert first.startswith("folder:")
    assert methods.load(folder).tag == f"lanner/mine:{first[7:19]}"

    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "run.pyc").write_bytes(b"x")
    (folder / ".notes").write_text("x")
    (folder / "run.py").touch()
    assert methods.load(folder).identity == first

    seen = {first}
    changes = {
        "run.py": "print(1)\n",
        "Dockerfile": "FROM a:2\n",
        "data/genes.txt": "A\n",
        "method.yaml": MANIFEST.format(name="mine") + "build: {args: {VERSION: b}}\n",
    }
    for name, text in changes.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        seen.add(methods.load(folder).identity)
    assert len(seen) == 1 + len(changes)


def test_the_build_context_is_what_was_hashed(write_method):
    folder = write_method()
    (folder / ".env").write_text("SECRET=1")
    (folder / "model").mkdir()
    (folder / "model" / "weights.bin").write_bytes(b"\0")
    names = [path.relative_to(folder).as_posix() for path in methods.folder_files(folder)]
    assert names == ["Dockerfile", "method.yaml", "model/weights.bin", "run.py"]


def test_a_symbolic_link_in_the_folder_is_refused(write_method, tmp_path):
    folder = write_method()
    (tmp_path / "secret").write_text("x")
    (folder / "data").symlink_to(tmp_path / "secret")
    with pytest.raises(ConfigurationError, match="symbolic link"):
        methods.load(folder)


def test_a_changed_copy_of_a_bundled_method_is_not_bundled(tmp_path):
    copy = tmp_path / "additive"
    shutil.copytree(bundled_root() / "method_containers" / "additive", copy)
    assert methods.is_bundled(methods.load(copy))
    with (copy / "predict.py").open("a") as stream:
        stream.write("# changed\n")
    assert not methods.is_bundled(methods.load(copy))


def test_limits_come_from_resources_over_the_defaults(write_method):
    method = methods.load(write_method(more="resources: {cpus: 2, memory_mb: 512, timeout_s: 30}\n"))
    assert method.limits == Limits(cpus=2, memory_mb=512, timeout_s=30)
    assert method.residual is None
    assert not method.deterministic


def test_parameters_are_defaults_with_the_given_ones_over_them(settings):
    method = methods.find(settings, "linear-embedding")
    assert methods.resolve_parameters(method, {}) == {"perturbations": "train", "rank": 10, "ridge": 0.1}
    assert methods.resolve_parameters(method, {"rank": 3}) == {
        "perturbations": "train",
        "rank": 3,
        "ridge": 0.1,
    }


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("linear-embedding", {"rnk": 3}, "did you mean 'rank'"),
        ("linear-embedding", {"rank": "3"}, "not of type 'integer'"),
        ("linear-embedding", {"rank": True}, "not of type 'integer'"),
        ("linear-embedding", {"rank": 0}, "less than the minimum"),
        ("linear-embedding", {"ridge": float("nan")}, "not a finite number"),
        ("no-change", {"output": "cell"}, "not one of"),
        ("additive", {"rank": 3}, "known: none"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused(method, given, message, settings):
    with pytest.raises(ConfigurationError, match=message):
        methods.resolve_parameters(methods.find(settings, method), given)


def test_a_default_outside_its_own_enum_is_refused(write_method):
    more = "parameters: {mode: {type: string, default: c, enum: [a, b], description: which.}}\n"
    with pytest.raises(ConfigurationError, match="parameter mode of method mine: 'c' is not one of"):
        methods.load(write_method(more=more))


def test_texts_of_a_command_line_become_typed_values(settings):
    linear = methods.find(settings, "linear-embedding")
    assert methods.parse_parameters(linear, ["rank=4", "ridge=1e-3"]) == {"rank": 4, "ridge": 0.001}
    no_change = methods.find(settings, "no-change")
    assert methods.parse_parameters(no_change, ["output=cells"]) == {"output": "cells"}
    with pytest.raises(ConfigurationError, match="must be written name=value"):
        methods.parse_parameters(linear, ["rank"])
    with pytest.raises(ConfigurationError, match="did you mean 'rank'"):
        methods.parse_parameters(linear, ["rnk=4"])


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.setenv("LANNER_HOME", str(tmp_path / "home"))
    return lambda *arguments: CliRunner().invoke(lanner, ["method", *arguments])


def test_method_list_prints_every_method_as_a_table_and_as_json(command, settings):
    names = list(methods.entries(settings))
    assert [entry["name"] for entry in json.loads(command("list", "--json").stdout)] == names
    table = command("list").stdout.splitlines()
    assert [line.split()[0] for line in table[1:] if line[:1].strip()] == names


def test_method_info_describes_a_method_given_by_path(command, write_method):
    more = "parameters: {depth: {type: integer, default: 2, description: how deep.}}\n"
    folder = write_method(more=more)
    text = command("info", str(folder)).stdout
    assert "depth = 2 (integer): how deep." in text
    document = json.loads(command("info", str(folder), "--json").stdout)
    assert document["parameters"]["depth"]["default"] == 2
    assert document["bundled"] is False
    assert Path(document["folder"]) == folder
