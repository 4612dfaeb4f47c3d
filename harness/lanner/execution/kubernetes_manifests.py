"""The sandbox as Kubernetes objects, by pure functions: a run's Job, and the NetworkPolicy that all obey.

A pod has three containers that run one after another, so that a method never lives beside the harness:

1. ``stage`` (harness image) claims the attempt and writes /input into a volume of the pod;
2. ``method`` (method image) sees that volume read-only, /output, /tmp, and nothing else: no LANNER_HOME,
   hence no truth, and no service account;
3. ``check`` (harness image) sees /output read-only once the method's container is gone. It does not start
   where the method failed.

The first two are init containers, which Kubernetes runs in order, each to its end; what a pod reserves is
therefore the largest of the three and not their sum. No sidecar has to be told when the method has ended.
Field names follow the Kubernetes API (batch/v1, networking.k8s.io/v1); tests hold them to its schemas.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lanner.execution.kubernetes_images import Declared
from lanner.records import Limits
from lanner.runners.policy import LOG_BYTES, SHM_BYTES, method_environment

MANAGED = {"app.kubernetes.io/managed-by": "lanner"}
POLICY_NAME = "lanner-deny-all"
ENGINE = "kubernetes"
STAGE, METHOD, CHECK = "stage", "method", "check"
DISK_MB = 65536
MOUNTED = frozenset({"/", "/input", "/output", "/tmp", "/dev/shm"})
CHECK_SECONDS = 120
"""What a pod may take beside the method and ``time_overhead_s``: for its containers to be ended."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What is the same for every run: where LANNER_HOME is (a claim), which image the harness is, who runs.

    ``home`` is LANNER_HOME's absolute path, here and in pods. ``options`` is the engine's YAML file.
    """

    home: Path
    user: tuple[int, int]
    options: Mapping[str, Any]

    @property
    def store(self) -> str:
        """Tells this LANNER_HOME's objects from another's in the same namespace."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:8]


def job_name(site: Site, key: str, attempt: str) -> str:
    """A name for the Job of an attempt (``attempt-2``) at the run ``key``; a DNS label."""
    return f"lanner-{key[:16]}-{site.store}-{attempt.removeprefix('attempt-')}"


def labels(site: Site, key: str) -> dict[str, str]:
    """What a run's objects are found by."""
    return {**MANAGED, "lanner-store": site.store, "lanner-run": key[:16]}


def network_policy() -> dict[str, Any]:
    """Nothing in, nothing out, for every pod of ours. The cluster's network plugin must support policies."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": POLICY_NAME, "labels": dict(MANAGED)},
        "spec": {"podSelector": {"matchLabels": dict(MANAGED)}, "policyTypes": ["Ingress", "Egress"]},
    }


def job(
    site: Site,
    *,
    key: str,
    attempt: Path,
    image: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    limits: Limits,
    declared: Declared,
) -> dict[str, Any]:
    """The Job of one attempt. ``environment`` holds the contract's LANNER_* variables; ``declared`` is what
    ``image`` says of itself."""
    mark, options = labels(site, key), site.options
    seconds = limits.timeout_s + int(options.get("time_overhead_s", 300)) + CHECK_SECONDS
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_name(site, key, attempt.name), "labels": mark},
        "spec": {
            "backoffLimit": 0,  # the harness alone decides what is tried again
            "completions": 1,
            "parallelism": 1,
            # Counts from the Job's making: how long it may wait for a node as well.
            "activeDeadlineSeconds": seconds + int(options.get("queue_s", 86400)),
            "ttlSecondsAfterFinished": int(options.get("ttl_s", 3600)),
            "template": {
                "metadata": {"labels": mark},
                "spec": {
                    **_pod(site, limits, declared),
                    # Counts from when a node has it, and is kept by that node even where it is cut off.
                    "activeDeadlineSeconds": seconds,
                    "initContainers": [
                        _harness(STAGE, site, attempt, [_mount("input", "/stage")], "/stage"),
                        _method(site, image, command, environment, limits, declared),
                    ],
                    "containers": [
                        _harness(CHECK, site, attempt, [_mount("output", "/output", True)], "/output")
                    ],
                },
            },
        },
    }


def _pod(site: Site, limits: Limits, declared: Declared) -> dict[str, Any]:
    options = site.options
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostNetwork": False,
        "hostPID": False,
        "hostIPC": False,
        "shareProcessNamespace": False,
        "hostname": "method",
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["127.0.0.1"]},
        "terminationGracePeriodSeconds": 10,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": site.user[0],
            "runAsGroup": site.user[1],
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {"name": "home", "persistentVolumeClaim": {"claimName": options["claim"]}},
            {"name": "input", "emptyDir": {}},
            {"name": "output", "emptyDir": {"sizeLimit": f"{limits.output_mb}Mi"}},
            # In memory, and counted as the container's: the same /tmp that Docker gives.
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": f"{limits.tmp_mb}Mi"}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{SHM_BYTES >> 20}Mi"}},
            {"name": "stage-tmp", "emptyDir": {}},
            {"name": "check-tmp", "emptyDir": {}},
            # An image's own VOLUMEs would be writable and unbounded: as with Docker, next to nothing.
            *(
                {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
                for name in _volumes(declared)
            ),
        ],
    }
    if "runtime_class" in options:
        pod["runtimeClassName"] = options["runtime_class"]
    if "node_selector" in options:
        pod["nodeSelector"] = dict(options["node_selector"])
    if "pull_secrets" in options:
        pod["imagePullSecrets"] = [{"name": name} for name in options["pull_secrets"]]
    return pod


def _method(
    site: Site,
    image: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    limits: Limits,
    declared: Declared,
) -> dict[str, Any]:
    here = declared.working_dir
    # Requests equal to limits: the kubelet then ends others before it, when a node runs short.
    # The kubelet holds a pod to its largest init container's: its input, output and logs, all together.
    disk = limits.output_mb + int(site.options.get("disk_mb", DISK_MB))
    granted: dict[str, Any] = {"cpu": _cpus(limits.cpus), "memory": f"{limits.memory_mb}Mi"}
    if limits.gpus:
        granted[site.options.get("gpu_resource", "nvidia.com/gpu")] = str(limits.gpus)
    return {
        **_container(METHOD, image, {**environment, **method_environment(limits, method_dir=here)}),
        "workingDir": here,  # the image's own, stated: what we tell the method and where it is never differ
        "command": list(command),
        "args": [],  # replaces the image's own ENTRYPOINT and CMD alike
        "resources": {
            "requests": {**granted, "ephemeral-storage": f"{LOG_BYTES >> 20}Mi"},
            "limits": {**granted, "ephemeral-storage": f"{disk}Mi"},
        },
        "volumeMounts": [
            {**_mount("input", "/input", True), "subPath": "input"},
            _mount("output", "/output"),
            _mount("tmp", "/tmp"),
            _mount("shm", "/dev/shm"),
            *(_mount(name, path) for name, path in _volumes(declared).items()),
        ],
    }


def _volumes(declared: Declared) -> dict[str, str]:
    """Names of volumes for an image's own VOLUME paths, where nothing of ours is mounted."""
    paths = sorted({str(PurePosixPath("/", path)) for path in declared.volumes} - MOUNTED)
    return {f"image-{number}": path for number, path in enumerate(paths)}


def _harness(
    step: str, site: Site, attempt: Path, mounts: list[dict[str, Any]], folder: str
) -> dict[str, Any]:
    memory = f"{int(site.options.get('harness_memory_mb', 2048))}Mi"
    granted = {"cpu": "1", "memory": memory}
    home = _mount("home", str(PurePosixPath(site.home)))
    if "claim_path" in site.options:
        home["subPath"] = site.options["claim_path"]
    environment = {
        "HOME": "/tmp",
        "USER": "lanner",
        "LANNER_HOME": str(site.home),
        "LANNER_ENGINE": ENGINE,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return {
        **_container(step, site.options["image"], environment),
        "command": ["lanner", "exec", str(attempt / "spec.json"), f"--{step}", folder],
        "resources": {"requests": dict(granted), "limits": granted},
        "volumeMounts": [home, *mounts, _mount(f"{step}-tmp", "/tmp")],
    }


def _container(name: str, image: str, environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",  # once per node: what we name never changes
        "env": [{"name": key, "value": value} for key, value in sorted(environment.items())],
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _mount(volume: str, path: str, read_only: bool = False) -> dict[str, Any]:
    return {"name": volume, "mountPath": path, **({"readOnly": True} if read_only else {})}


def _cpus(cpus: float) -> str:
    return f"{math.ceil(cpus * 1000)}m"
