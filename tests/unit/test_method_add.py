"""lanner method add: what labels say, what is asked, what is written, and that nothing half-made stays."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from lanner import method_add
from lanner.cli import lanner
from lanner.cli.method_add import words
from lanner.config import Settings
from lanner.errors import ConfigurationError, ImageRefusedError, LannerError
from lanner.method_add.registering import register
from lanner.method_templates import new_method
from lanner.methods import find
from lanner.runners.archives import for_docker, is_oci
from lanner.runners.images import ImageFacts

DIGEST = "sha256:" + "a" * 64
LABELS = {
    "org.lanner.name": "closed-model",
    "org.lanner.command": '["python", "go.py"]',
    "org.lanner.deterministic": "true",
    "org.lanner.tasks": "perturbation-response, network-inference",
    "org.lanner.memory-mb": "8192",
    "org.opencontainers.image.description": "Predicts.",
    "org.opencontainers.image.licenses": "Apache-2.0",
    "maintainer": "nobody",
}


def image(**changes: Any) -> ImageFacts:
    facts = {"pin": f"lab/model@{DIGEST}", "id": "sha256:" + "b" * 64, "user": "10001", "command": ("run",)}
    return ImageFacts(**{**facts, "labels": {}, **changes})


def test_labels_state_the_manifest_and_those_of_any_image_fill_what_they_leave_open() -> None:
    found = method_add.stated(LABELS, "lab/model")
    assert found == {
        "name": "closed-model",
        "command": ["python", "go.py"],
        "deterministic": True,
        "tasks": ["perturbation-response", "network-inference"],
        "resources": {"memory_mb": 8192},
        "summary": "Predicts.",
        "licence": "Apache-2.0",
    }


@pytest.mark.parametrize(
    ("label", "text", "says"),
    [
        ("org.lanner.deterministic", "maybe", "true or false"),
        ("org.lanner.command", "python go.py", "JSON list"),
        ("org.lanner.comand", "[]", "command"),
    ],
)
def test_a_wrong_label_is_named_with_what_was_expected(label: str, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        method_add.stated({label: text}, "lab/model")
    assert label.removeprefix("org.lanner.") in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("lab/My_Model:1.2", "my-model"),
        ("localhost:5000/lab/model@" + DIGEST, "model"),
        ("model.tar.gz", "model"),
        ("3d-model", "d-model"),
    ],
)
def test_a_name_is_made_of_the_reference(reference: str, name: str) -> None:
    assert method_add.name_of(reference) == name


def test_an_image_becomes_a_method_that_is_found_and_pinned(settings: Settings) -> None:
    document, guessed = method_add.proposed(LABELS, ("x",), "lab/model:2", "perturbation-response")
    assert {"command", "name", "summary", "licence"}.isdisjoint(guessed)
    method_add.add_image(settings, image(), document, "lab/model:2")
    method = find(settings, "closed-model")
    assert method.identity == f"image:lab/model@{DIGEST}"
    assert (method.command, method.limits.memory_mb) == (("python", "go.py"), 8192)


def test_an_image_that_runs_as_root_is_refused_by_the_name_it_was_given_and_leaves_nothing(
    settings: Settings,
) -> None:
    document, _ = method_add.proposed({}, ("x",), "debian:12", "perturbation-response")
    with pytest.raises(ImageRefusedError, match=r"FROM debian:12`.*USER 10001"):
        method_add.add_image(settings, image(user=""), document, "debian:12")
    assert list((settings.home / "methods").iterdir()) == []


def test_a_taken_name_is_refused_unless_it_is_to_be_replaced(settings: Settings) -> None:
    document, _ = method_add.proposed(LABELS, (), "lab/model", "perturbation-response")
    method_add.add_image(settings, image(), document, "lab/model")
    with pytest.raises(ConfigurationError, match="--replace"):
        method_add.add_image(settings, image(), document, "lab/model")
    other = image(pin="lab/model@sha256:" + "c" * 64)
    assert method_add.add_image(settings, other, document, "lab/model", replace=True).identity.endswith("cc")
    assert [path.name for path in (settings.home / "methods").iterdir()] == ["closed-model"]
    with pytest.raises(ConfigurationError, match=r"give another --name$"):
        register(settings, {**document, "name": "additive", "image": DIGEST}, replace=True)


def test_a_folder_is_copied_with_its_manifest_untouched_unless_a_field_changes(
    settings: Settings, tmp_path: Path
) -> None:
    folder = new_method("mine", "bash", tmp_path)
    document, guessed = method_add.proposed_of_folder(folder)
    assert guessed == ()
    method = method_add.add_folder(settings, folder, document, build=False)
    assert method.folder == settings.home / "methods" / "mine"
    assert (method.folder / "method.yaml").read_bytes() == (folder / "method.yaml").read_bytes()
    renamed = method_add.add_folder(settings, folder, {**document, "name": "yours"}, build=False)
    assert (renamed.name, renamed.summary) == ("yours", method.summary)


def test_a_folder_whose_build_fails_leaves_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, method: object) -> None:
        raise LannerError("it cannot be built")

    monkeypatch.setattr("lanner.runners.docker.DockerRunner.prepare", broken)
    folder = new_method("mine", "bash", tmp_path)
    with pytest.raises(LannerError, match="cannot be built"):
        method_add.add_folder(settings, folder, method_add.proposed_of_folder(folder)[0])
    assert list((settings.home / "methods").iterdir()) == []


def test_without_a_terminal_the_options_that_are_missing_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lanner.method_add.image_of_reference", lambda name: image())
    runner = CliRunner(env={"LANNER_HOME": str(tmp_path)})
    refused = runner.invoke(lanner, ["method", "add", "lab/model:1"])
    assert refused.exit_code == 2
    assert "--summary, --licence" in refused.stderr
    added = runner.invoke(
        lanner,
        ["method", "add", "lab/model:1", "--summary", "S.", "--licence", "MIT", "--timeout", "9", "--json"],
    )
    assert added.exit_code == 0, added.stderr
    document = json.loads(added.stdout)
    assert (document["name"], document["command"], document["limits"]["timeout_s"]) == ("model", ["run"], 9)


def test_a_command_is_read_as_a_shell_would_or_as_json() -> None:
    assert words("python 'my file.py' -x") == ["python", "my file.py", "-x"]
    assert words('["python", "a b"]') == ["python", "a b"]


def oci_archive(path: Path, *, architectures: tuple[str, ...] = ("amd64", "arm64")) -> dict[str, bytes]:
    """An OCI layout with one image for each architecture and an attestation; its blobs by name."""
    blobs: dict[str, bytes] = {}

    def blob(content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"digest": f"sha256:{digest}", "size": len(content)}

    images = []
    for name in architectures:
        manifest = {"config": blob(json.dumps({"architecture": name}).encode()), "layers": [blob(b"layer")]}
        images.append({**blob(json.dumps(manifest).encode()), "platform": {"architecture": name}})
    images.append({**blob(b"{}"), "annotations": {"vnd.docker.reference.type": "attestation-manifest"}})
    nested = {"manifests": [blob(json.dumps({"manifests": images}).encode())]}
    files = {"oci-layout": b"{}", "index.json": json.dumps(nested).encode(), **blobs}
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return blobs


def test_an_oci_archive_becomes_one_that_every_engine_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    blobs = oci_archive(tmp_path / "image.tar")
    assert is_oci(tmp_path / "image.tar")
    out = io.BytesIO()
    for_docker(tmp_path / "image.tar", out)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    (manifest,) = json.loads(found.pop("manifest.json"))
    assert json.loads(found[manifest["Config"]]) == {"architecture": "amd64"}
    assert [found[name] for name in manifest["Layers"]] == [b"layer"]
    assert all(blobs[name] == content for name, content in found.items())


def test_an_archive_without_an_image_for_this_machine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    oci_archive(tmp_path / "image.tar")
    with pytest.raises(ConfigurationError, match="0 of them for riscv64"):
        for_docker(tmp_path / "image.tar", io.BytesIO())
    (tmp_path / "text.tar").write_text("no tar")
    with pytest.raises(ConfigurationError, match="not a tar archive; write one") as caught:
        is_oci(tmp_path / "text.tar")
    assert "\n" not in str(caught.value)


def test_an_archive_that_was_cut_off_is_called_damaged(tmp_path: Path) -> None:
    oci_archive(tmp_path / "image.tar")
    whole = (tmp_path / "image.tar").read_bytes()
    (tmp_path / "image.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigurationError, match="damaged"):
        is_oci(tmp_path / "image.tar")


def test_a_task_that_there_is_none_of_is_refused_with_the_nearest(settings: Settings) -> None:
    document, _ = method_add.proposed(
        {**LABELS, "org.lanner.tasks": "perturbation-respons"}, (), "lab/model", "perturbation-response"
    )
    with pytest.raises(ConfigurationError, match="did you mean 'perturbation-response'"):
        method_add.add_image(settings, image(), document, "lab/model")
    assert not list((settings.home / "methods").glob("*"))
