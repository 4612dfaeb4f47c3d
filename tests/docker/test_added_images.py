"""Adding real images: from the engine, an archive, an OCI archive, a registry; and opening their sandbox."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pty
import select
import sys
import tarfile
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import boards
import docker
import pytest

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

DOCKERFILE = """FROM debian:bookworm-slim
RUN echo {unique} > /unique
LABEL org.lanner.name=tiny-image org.lanner.command='["cat", "/unique"]' org.lanner.deterministic=true
USER 10001
"""


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """A small image of this session only."""
    tag = f"lanner-test/tiny:{uuid.uuid4().hex[:8]}"
    client = docker.from_env()
    client.images.build(fileobj=io.BytesIO(DOCKERFILE.format(unique=tag).encode()), tag=tag, rm=True)
    yield tag
    client.images.remove(tag, force=True)


def added(home: Path, *arguments: str | Path, code: int = 0) -> str:
    result = boards.lanner("method", "add", *arguments, "--json", home=home, cwd=home.parent)
    assert result.returncode == code, result.stderr
    return json.loads(result.stdout)["identity"] if code == 0 else result.stderr


def saved(image: str, path: Path) -> str:
    """The image's ID; its archive is at ``path``."""
    found = docker.from_env().images.get(image)
    with path.open("wb") as stream:
        for piece in found.save():
            stream.write(piece)
    return str(found.id)


def test_a_local_image_and_its_archives_are_one_method_pinned_by_id(image: str, tmp_path: Path) -> None:
    home, archive, layout = tmp_path / "home", tmp_path / "image.tar", tmp_path / "oci.tar"
    expected = f"image:{saved(image, archive)}"
    assert added(home, image, "--yes") == expected
    assert added(home, archive, "--yes", "--name", "from-archive") == expected
    as_oci(archive, layout)
    assert added(home, "--from-oci-archive", layout, "--yes", "--name", "from-oci") == expected
    result = boards.lanner("method", "pull", "tiny-image", "--json", home=home, cwd=tmp_path)
    assert json.loads(result.stdout)[0]["image_id"] == expected.removeprefix("image:")


def as_oci(archive: Path, layout: Path) -> None:
    """The archive of ``docker save`` as an OCI layout, which engines before 25 do not load."""
    blobs: dict[str, bytes] = {}

    def blob(content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"digest": f"sha256:{digest}", "size": len(content)}

    with tarfile.open(archive) as tar:

        def read(name: str) -> bytes:
            stream = tar.extractfile(name)
            assert stream is not None
            return stream.read()

        (manifest,) = json.loads(read("manifest.json"))
        document = {
            "config": blob(read(manifest["Config"])),
            "layers": [blob(read(name)) for name in manifest["Layers"]],
        }
    blobs["index.json"] = json.dumps({"manifests": [blob(json.dumps(document).encode())]}).encode()
    blobs["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    with tarfile.open(layout, "w") as tar:
        for name, content in blobs.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_an_image_that_runs_as_root_is_refused_with_the_fix(tmp_path: Path) -> None:
    said = added(tmp_path / "home", "debian:bookworm-slim", "--yes", code=2)
    assert "runs as root" in said
    assert "FROM debian:bookworm-slim` and `USER 10001`" in said
    assert list((tmp_path / "home" / "methods").iterdir()) == []


class Registry(BaseHTTPRequestHandler):
    """As much of a registry (OCI distribution specification) as pulling one image takes."""

    contents: ClassVar[dict[str, tuple[str, bytes]]] = {}

    def do_GET(self) -> None:
        kind, content = self.contents.get(self.path.rpartition("/")[2], ("application/json", b""))
        self.send_response(200 if content or self.path == "/v2/" else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Content-Digest", f"sha256:{hashlib.sha256(content).hexdigest()}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        pass


def test_an_image_that_is_pulled_is_pinned_by_its_repository_digest(tmp_path: Path) -> None:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        member = tarfile.TarInfo(uuid.uuid4().hex)
        tar.addfile(member)
    found: dict[str, tuple[str, bytes]] = {}

    def serve(kind: str, content: bytes, *names: str) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        for name in (digest, *names):
            found[name] = (kind, content)
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    content = layer.getvalue()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"User": "10001", "Cmd": ["/predict"], "Labels": {"org.lanner.residual": "shift"}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"]},
    }
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": serve("application/vnd.docker.container.image.v1+json", json.dumps(config).encode()),
        "layers": [serve("application/vnd.docker.image.rootfs.diff.tar", content)],
    }
    pinned = serve(kind, json.dumps(manifest).encode(), "1.0")["digest"]
    handler = type("Handler", (Registry,), {"contents": found})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        reference = f"localhost:{server.server_port}/lab/model"
        try:
            identity = added(tmp_path / "home", f"{reference}:1.0", "--yes")
            assert identity == f"image:{reference}@{pinned}"
            again = boards.lanner("method", "info", "model", "--json", home=tmp_path / "home", cwd=tmp_path)
            assert json.loads(again.stdout)["residual"] == "shift"
        finally:
            server.shutdown()
            docker.from_env().images.remove(f"{reference}:1.0", force=True)


def shells() -> list[str]:
    listed = docker.from_env().containers.list(all=True, filters={"label": "lanner.shell=tiny-image"})
    return [str(container.name) for container in listed]


def test_one_command_in_the_sandbox_sees_the_staged_input_and_nothing_is_left(
    image: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    added(home, image, "--yes")
    program = "ls /input; id -u; touch /x; cp /input/train.h5ad /output/prediction.h5ad; exit 3"
    result = boards.lanner(
        "method", "shell", "tiny-image", "--command", program, "--json", home=home, cwd=tmp_path
    )
    assert result.returncode == 1, result.stderr
    found = json.loads(result.stdout)
    assert found["exit_code"] == 3
    assert found["stdout"].split()[:3] == ["requests.csv", "task.json", "train.h5ad"]
    assert found["stdout"].split()[3] not in ("", "0")
    assert "Read-only file system" in found["stderr"]
    assert found["prediction"].startswith("refused")
    assert shells() == []


def test_the_sandbox_opens_on_the_question_that_a_check_failed_on(image: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    added(home, image, "--yes")
    checked = boards.lanner("method", "check", "tiny-image", home=home, cwd=tmp_path)
    assert checked.returncode == 1
    hint = "lanner method shell tiny-image --question ordinary"
    assert checked.stderr.rstrip().endswith(hint), checked.stderr
    program = "tail -n 1 /input/requests.csv"
    shell = (*hint.split()[1:-1], "single", "--command", program, "--json")
    result = boards.lanner(*shell, home=home, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["dataset"], found["prediction"]) == ("single", None)
    assert "," in found["stdout"], "one of its requests"
    assert [path.name for path in home.iterdir()] == ["methods"], "the question's data are gone"


def test_a_shell_on_a_terminal_takes_what_is_typed_and_leaves_nothing(image: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    added(home, image, "--yes")
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["LANNER_HOME"] = str(home)
        os.execv(sys.executable, boards.command("method", "shell", "tiny-image"))
    seen = b""

    def until(text: bytes) -> None:
        nonlocal seen
        deadline = time.monotonic() + 120
        while text not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([terminal], [], [], 0.5)[0]:
                seen += os.read(terminal, 4096)

    until(b"$ ")
    os.write(terminal, b"tty; cat /unique; echo $LANNER_INPUT$((40 + 2))\n")
    until(b"/input42")
    assert image.encode() in seen
    assert len(shells()) >= 1
    os.write(terminal, b"exit\n")
    until(b"none was written")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert shells() == []


def test_the_container_of_a_killed_shell_is_swept_by_clean(image: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    added(home, image, "--yes")
    arguments = ("method", "shell", "tiny-image", "--command", "sleep 600")
    shell = boards.start(*arguments, home=home, cwd=tmp_path)
    boards.until(shells, "the shell's container")
    shell.kill()
    shell.communicate()
    assert len(shells()) == 1
    cleaned = boards.lanner("clean", "leftovers", "--yes", "--json", home=home, cwd=tmp_path)
    assert cleaned.returncode == 0, cleaned.stderr
    assert any(name.startswith("container ") for name in json.loads(cleaned.stdout)["removed"])
    assert shells() == []
