"""An API server for the real client to talk to, over HTTP, with a node behind it that runs pods as processes.

It keeps what the engine needs of Jobs, pods, logs and NetworkPolicies, checks every object against the
published schemas as strictly as a server with field validation, runs a pod's containers one after another
with their mounts as folders, and can be struck: a node lost, a pod evicted, a deadline, a server away.
It isolates nothing: what a real cluster denies a method is not shown here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import yaml

VERSION = "1.31"
OPTIONS = {"engine": "kubernetes", "image": "harness", "claim": "home", "registry": "reg.test", "user": 10001}


def now(earlier: float = 0.0) -> str:
    return datetime.fromtimestamp(time.time() - earlier, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Cluster:
    """One namespace. ``methods`` is the folder of method folders, by the names images are called after."""

    def __init__(self, folder: Path, methods: Path) -> None:
        self.folder, self.methods = folder, methods
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, bytes] = {}
        self.policies: dict[str, dict[str, Any]] = {}
        self.created: list[str] = []
        self.unpolicied = 0
        self.is_away = False
        self.refusal = ""
        self.unpullable: set[str] = set()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.lock = threading.RLock()
        cluster = self

        class Handler(_Handler):
            pass

        Handler.cluster = cluster
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def kubeconfig(self) -> Path:
        address = f"http://127.0.0.1:{self.server.server_address[1]}"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": address}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "users": [{"name": "test", "user": {}}],
        }
        path = self.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(document))
        return path

    def close(self) -> None:
        self.server.shutdown()
        for name in list(self.processes):
            self.kill(name)

    # What the API server does.

    def create(self, job: dict[str, Any]) -> None:
        name = job["metadata"]["name"]
        self.unpolicied += not self.policies
        self.created.append(name)
        job = {**job, "status": {"active": 1}}
        pod = {
            "metadata": {
                "name": f"{name}-x",
                "labels": {**job["spec"]["template"]["metadata"]["labels"], "job-name": name},
                "creationTimestamp": now(),
            },
            "spec": {**job["spec"]["template"]["spec"], "nodeName": "node-1"},
            "status": {"phase": "Pending", "initContainerStatuses": [], "containerStatuses": []},
        }
        self.jobs[name], self.pods[name] = job, pod
        threading.Thread(target=self._play, args=(name, pod), daemon=True).start()

    def delete(self, name: str) -> bool:
        with self.lock:
            found = self.jobs.pop(name, None)
            self.pods.pop(name, None)
        self.kill(name)
        return found is not None

    def kill(self, name: str) -> None:
        process = self.processes.pop(name, None)
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)

    # What its node does.

    def _play(self, name: str, pod: dict[str, Any]) -> None:
        spec, status = pod["spec"], pod["status"]
        volumes = self.folder / "volumes" / f"{name}-{len(self.created)}"
        steps = [(item, "initContainerStatuses") for item in spec["initContainers"]]
        steps += [(item, "containerStatuses") for item in spec["containers"]]
        for container, kind in steps:
            if container["image"] in self.unpullable:
                waiting = {"reason": "ImagePullBackOff", "message": f"pull {container['image']}: not found"}
                status[kind].append({"name": container["name"], "state": {"waiting": waiting}})
                return
            begun, state = now(), {"running": {"startedAt": now()}}
            status[kind].append({"name": container["name"], "imageID": "sha256:1", "state": state})
            code = self._run(name, container, volumes)
            if self.pods.get(name) is not pod or status["phase"] == "Failed":
                return  # deleted or struck meanwhile
            with self.lock:
                status[kind][-1]["state"] = {
                    "terminated": {"exitCode": code, "startedAt": begun, "finishedAt": now()}
                }
                if code != 0:
                    self.end(name, "Failed")
                    return
        self.end(name, "Succeeded")

    def end(self, name: str, phase: str) -> None:
        with self.lock:
            kind = "Complete" if phase == "Succeeded" else "Failed"
            self.pods[name]["status"]["phase"] = phase
            condition = {"type": kind, "status": "True", "reason": "BackoffLimitExceeded"}
            self.jobs[name]["status"] = {"conditions": [condition]}

    def _run(self, name: str, container: Mapping[str, Any], volumes: Path) -> int:
        mounts: dict[str, str] = {}
        for mount in container["volumeMounts"]:
            if mount["name"] != "home":
                here = volumes / mount["name"] / mount.get("subPath", "")
                here.mkdir(parents=True, exist_ok=True)
                mounts[mount["mountPath"]] = str(here)

        def mapped(value: str) -> str:
            return mounts.get(value, value)

        command = [mapped(part) for part in container["command"]]
        program = [sys.executable, "-m", "lanner.cli"] if command[0] == "lanner" else [sys.executable]
        method = container["image"].rpartition("/")[2].partition(":")[0]
        environment = {item["name"]: mapped(item["value"]) for item in container["env"]}
        process = subprocess.Popen(
            [*program, *command[1:]],
            cwd=self.methods / method if container["name"] == "method" else self.folder,
            env={**environment, "PATH": os.environ["PATH"]},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.processes[name] = process
        said = process.communicate()[0]
        if container["name"] == "method":
            self.logs[f"{name}-x"] = said
        elif process.returncode:
            print(said.decode(), file=sys.stderr)
        code = process.returncode
        return code if code >= 0 else 128 - code

    @property
    def succeeded(self) -> bool:
        """Whether some pod has ended well."""
        return any(pod["status"]["phase"] == "Succeeded" for pod in list(self.pods.values()))

    # What befalls them.

    def works(self, name: str = "") -> str | None:
        """The name of a Job whose method runs now."""
        for found, pod in list(self.pods.items()):
            statuses = pod["status"]["initContainerStatuses"]
            if found.startswith(name) and len(statuses) == 2 and "running" in statuses[1]["state"]:
                return found
        return None

    def strike(self, name: str, kind: str) -> None:
        with self.lock:
            pod = self.pods[name]
            status, method = pod["status"], pod["status"]["initContainerStatuses"][1]
            taint = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
            if kind == "node lost":  # its process goes on: nobody can reach it
                status["conditions"] = [taint]
                pod["metadata"]["deletionTimestamp"] = now()
                failing = {"type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded"}
                self.jobs[name]["status"] = {"conditions": [failing]}
                return
            if kind == "deadline":
                over = {"exitCode": 137, "startedAt": now(1000), "finishedAt": now()}
                method["state"] = {"terminated": over}
                status["reason"] = "DeadlineExceeded"
            elif kind == "evicted":
                status |= {"reason": "Evicted", "message": "The node was low on resource: memory."}
            elif kind == "output":
                message = 'Usage of EmptyDir volume "output" exceeds the limit "2Gi".'
                status |= {"reason": "Evicted", "message": message}
            elif kind == "memory":
                over = {"exitCode": 137, "reason": "OOMKilled", "startedAt": now(), "finishedAt": now()}
                method["state"] = {"terminated": over}
            self.end(name, "Failed")
        self.kill(name)
        if kind == "deleted":
            self.delete(name)


@contextmanager
def running(folder: Path, methods: Path) -> Iterator[Cluster]:
    cluster = Cluster(folder, methods)
    try:
        yield cluster
    finally:
        cluster.close()


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_PUT(self) -> None:
        self._answer(self._put)

    def do_DELETE(self) -> None:
        self._answer(self._delete)

    def log_message(self, *arguments: Any) -> None:
        pass

    def _answer(self, act: Callable[[list[str], dict[str, list[str]], Any], tuple[int, Any]]) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        assert "lanner" in parts, "every request names the namespace"
        if self.cluster.is_away:
            status, found = 503, {"message": "the server is away"}
        else:
            with self.cluster.lock:
                status, found = act(parts[parts.index("lanner") + 1 :], parse_qs(url.query), body)
        data = found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _get(self, parts: list[str], query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        if parts[-1] == "log":
            found = self.cluster.logs.get(parts[1])
            return (200, found) if found is not None else (400, {"message": "container is waiting to start"})
        objects = {"jobs": self.cluster.jobs, "pods": self.cluster.pods}[parts[0]]
        wanted = dict(pair.split("=") for pair in query["labelSelector"][0].split(","))
        items = [item for item in objects.values() if wanted.items() <= item["metadata"]["labels"].items()]
        return 200, {"kind": "List", "items": items}

    def _post(self, parts: list[str], query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        try:
            kubernetes_validate.validate(body, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            return 400, {"message": str(error)}
        name = body["metadata"]["name"]
        if parts[0] == "networkpolicies":
            self.cluster.policies[name] = body
        elif self.cluster.refusal:
            return 403, {"message": self.cluster.refusal}
        elif name in self.cluster.jobs:
            return 409, {"message": f'jobs.batch "{name}" already exists'}
        else:
            self.cluster.create(body)
        return 201, body

    def _put(self, parts: list[str], query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        if parts[1] not in self.cluster.policies:
            return 404, {"message": "not found"}
        self.cluster.policies[parts[1]] = body
        return 200, body

    def _delete(self, parts: list[str], query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        found = self.cluster.delete(parts[1])
        return (200, {"kind": "Status"}) if found else (404, {"message": "not found"})
