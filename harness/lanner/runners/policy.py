"""The sandbox, as plain data: limits and a user go in, the Docker Engine's options come out.

Pure and importable without the SDK, so that tests and docker-compose.yml can be compared with it. What each
option stops is tried, from inside a container, in tests/docker.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lanner.errors import InfrastructureError
from lanner.records import Limits

METHOD_DIR = "/method"
"""LANNER_METHOD_DIR in an image that declares no WORKDIR of its own."""

LOG_BYTES = 8 << 20
SHM_BYTES = 2 << 30  # Docker's 64 MiB kill PyTorch's data loaders
ROOT_SUBSTITUTE = (10001, 10001)
"""Who a container is when the harness is root: uid 0, even without capabilities, can leave setuid files."""


RUNTIME_VARIABLE = "LANNER_DOCKER_RUNTIME"
"""Names another OCI runtime of the engine, such as gVisor's runsc, for all containers of this harness."""

INIT = '"$@"; exit $?'
"""A shell's script for process 1 of a namespace: to it no signal does what it does to others, so that the
method is its child, and it reaps what the method leaves."""

PODMAN_RUNTIME = f"start `podman --runtime=... system service`, and unset {RUNTIME_VARIABLE}"
PODMAN_PROCESSES = 32768
"""podman's own default may exceed what it may grant; the limit that counts is the cgroup's."""


def sandbox_user() -> tuple[int, int]:
    """The uid and gid of containers: the harness's own, so that it can read and remove what they write."""
    uid, gid = os.geteuid(), os.getegid()
    return ROOT_SUBSTITUTE if uid == 0 else (uid, gid)


def method_environment(limits: Limits, *, home: str = "/tmp", method_dir: str = METHOD_DIR) -> dict[str, str]:
    """Every variable a method gets beside the contract's own; nothing of the host's environment passes."""
    threads = str(max(1, int(limits.cpus)))
    environment = {
        "HOME": home,
        "TMPDIR": home,
        "USER": "method",  # the uid is in no image's passwd: getpass and torch ask these
        "LOGNAME": "method",
        "XDG_CACHE_HOME": f"{home}/.cache",
        "MPLCONFIGDIR": f"{home}/.cache/matplotlib",
        "NUMBA_CACHE_DIR": f"{home}/.cache/numba",
        "HF_HUB_OFFLINE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",  # the last line before a kill is the reason
        "LANNER_METHOD_DIR": method_dir,
    }
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):  # a container sees all of the host's cores
        environment[f"{library}_NUM_THREADS"] = threads
    if limits.gpus == 0:
        environment["NVIDIA_VISIBLE_DEVICES"] = "void"  # an image may ship "all"
    return environment


def container_options(
    limits: Limits,
    *,
    command: Sequence[str],
    environment: Mapping[str, str],
    user: tuple[int, int],
    input_dir: Path,
    output_dir: Path,
    working_dir: str = METHOD_DIR,
    volumes: Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
    devices: Sequence[str] = (),
    runtime: str | None = None,
) -> dict[str, Any]:
    """Keyword arguments of the SDK's ``containers.create`` for one run.

    ``volumes`` are the image's own VOLUME paths, which would be writable in spite of the read-only root.
    ``devices`` are the ids of the GPUs leased for the run, as many as ``limits`` grant. ``runtime``
    names another OCI runtime of the engine, such as ``runsc``. Raises ValueError for uid 0 and for another
    number of devices.
    """
    if user[0] == 0:
        raise ValueError("containers never run as uid 0")
    if len(devices) != limits.gpus:
        raise ValueError(f"{len(devices)} devices leased for a run that is granted {limits.gpus}")
    memory = limits.memory_mb << 20
    options: dict[str, Any] = {
        **isolation(limits),
        "entrypoint": list(command),  # replaces the image's own ENTRYPOINT and CMD alike
        "environment": {**environment, **method_environment(limits, method_dir=working_dir)},
        "labels": dict(labels or {}),
        "user": f"{user[0]}:{user[1]}",
        "working_dir": working_dir,
        "mem_limit": memory,
        "memswap_limit": memory,  # memory plus swap: no swap
        "nano_cpus": int(limits.cpus * 1e9),
        "mounts": [
            # Mounts, not volumes: a missing source is an error instead of a new root-owned folder.
            {"Target": "/input", "Source": str(input_dir), "Type": "bind", "ReadOnly": True},
            {"Target": "/output", "Source": str(output_dir), "Type": "bind", "ReadOnly": False},
        ],
    }
    for volume in volumes:
        if volume not in ("/input", "/output", "/tmp"):
            options["tmpfs"][volume] = "rw,noexec,nosuid,nodev,size=1m"
    if devices:
        options["device_requests"] = [{"Driver": "", "DeviceIDs": list(devices), "Capabilities": [["gpu"]]}]
    if runtime:
        options["runtime"] = runtime
    return options


def for_podman(options: Mapping[str, Any]) -> dict[str, Any]:
    """``options`` as podman needs them.

    Raises InfrastructureError for what its API (4.3) takes without a word and does not do.
    """
    if "runtime" in options:
        raise InfrastructureError(f"podman takes its runtime from its own settings: {PODMAN_RUNTIME}")
    if "device_requests" in options:
        raise InfrastructureError("podman's API grants no GPUs; use Docker for methods that need one")
    nproc = {"Name": "nproc", "Soft": PODMAN_PROCESSES, "Hard": PODMAN_PROCESSES}
    return {**options, "ulimits": [*options["ulimits"], nproc]}


def apptainer_command(
    options: Mapping[str, Any], *, image: str, scratch: Path, cgroups: bool
) -> tuple[list[str], dict[str, str]]:
    """The same run for Apptainer: its arguments, and the whole environment to start it with.

    ``options`` are those of ``container_options``. ``scratch`` is an empty folder on disk for /tmp.
    ``cgroups`` says whether limits may be asked for, which takes cgroup version 2 and delegation; without
    them a batch system must hold memory and processes, as it must hold time in any case. Runs as whoever
    calls it, so ``user`` is not used; the image is read-only as it is. Follows Apptainer's manual; no
    Apptainer has run it yet.
    """
    arguments = [
        "apptainer",
        "exec",
        "--containall",
        "--cleanenv",
        "--no-privs",
        "--no-mount",
        "hostfs,bind-paths",
    ]
    if options["network_mode"] == "none":
        arguments += ["--net", "--network", "none"]
    arguments += ["--workdir", str(scratch), "--pwd", str(options["working_dir"])]
    for mount in options["mounts"]:
        access = "ro" if mount["ReadOnly"] else "rw"
        arguments += ["--bind", f"{mount['Source']}:{mount['Target']}:{access}"]
    if cgroups:
        arguments += ["--memory", str(options["mem_limit"]), "--memory-swap", str(options["memswap_limit"])]
        arguments += ["--cpus", f"{options['nano_cpus'] / 1e9:g}", "--pids-limit", str(options["pids_limit"])]
    environment = dict(options["environment"])
    if "device_requests" in options:
        arguments.append("--nv")
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(options["device_requests"][0]["DeviceIDs"])
    # By prefix, not --env, whose values end at a comma. HOME may not be set so; --home sets it, and binds
    # the host's folder of that name where it is given no other.
    home = environment.pop("HOME")
    arguments += ["--home", f"{scratch}:{home}", image, *options["entrypoint"]]
    prefixed = {f"APPTAINERENV_{name}": value for name, value in environment.items()}
    return arguments, {"PATH": "/usr/local/bin:/usr/bin:/bin", **prefixed}


def charliecloud_command(
    options: Mapping[str, Any], *, image: Path, scratch: Path
) -> tuple[list[str], dict[str, str]]:
    """The same run for Charliecloud (0.31): its arguments, and the whole environment to start it with.

    ``options`` are those of ``container_options``; ``image`` is an unpacked image. ``scratch`` holds the
    empty folders ``tmp`` and ``shm``, for /tmp and /dev/shm. Runs as whoever calls it. ch-run isolates files
    alone; ``unshare`` adds namespaces of network, processes and IPC. No kernel keeps ``mem_limit`` or
    ``pids_limit`` here, and /input is not read-only: what is staged there must be a copy. Raises
    InfrastructureError for GPUs, which nothing here could keep to a lease.
    """
    if "device_requests" in options:
        raise InfrastructureError(
            "Charliecloud shows a method all of /dev, so no GPU can be leased to it alone; use Docker"
        )
    arguments = ["unshare", "--user", "--map-current-user", "--pid", "--fork", "--kill-child=KILL"]
    arguments += ["--mount-proc", "--ipc", "--uts", *(["--net"] if options["network_mode"] == "none" else [])]
    arguments += ["sh", "-c", INIT, "sh"]
    arguments += ["ch-run", "--private-tmp", "--no-passwd", "--env-no-expand", "--unset-env=*", "--set-env"]
    arguments += [f"--set-env={name}={value}" for name, value in sorted(options["environment"].items())]
    mounts = [(mount["Source"], mount["Target"]) for mount in options["mounts"]]
    for source, target in (*mounts, (str(scratch / "tmp"), "/tmp"), (str(scratch / "shm"), "/dev/shm")):
        arguments += ["--bind", f"{source}:{target}"]
    arguments += ["--cd", str(options["working_dir"]), str(image), "--", *options["entrypoint"]]
    output = next(source for source, target in mounts if target == "/output")
    # USER is what ch-run itself asks for; by LANNER_OUTPUT a killed harness's processes are found.
    return arguments, {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "USER": "method",
        "HOME": "/",
        "LANNER_OUTPUT": output,
    }


def isolation(limits: Limits) -> dict[str, Any]:
    """The part of the sandbox that is the same for every method; ``x-sandbox`` of docker-compose.yml."""
    # Applies to /tmp as well, so the larger of the two; the watcher and the intake bound the output itself.
    largest = max(limits.output_mb, limits.tmp_mb) << 20
    return {
        "network_mode": "none",
        "read_only": True,
        "privileged": False,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "init": True,  # reaps zombies and forwards signals
        "ipc_mode": "private",
        "shm_size": SHM_BYTES,
        "pids_limit": limits.processes,
        "oom_score_adj": 500,  # the kernel prefers the method over the harness
        "hostname": "method",
        # Docker's default is noexec, which breaks Triton, torch.compile and compiled R packages.
        "tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,size={limits.tmp_mb}m,mode=1777"},
        "ulimits": [
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "fsize", "Soft": largest, "Hard": largest},
            {"Name": "nofile", "Soft": 4096, "Hard": 4096},
        ],
        "log_config": {"type": "json-file", "config": {"max-size": f"{LOG_BYTES >> 20}m", "max-file": "1"}},
        "healthcheck": {"test": ["NONE"]},  # the image's metadata decide nothing
        "stop_signal": "SIGTERM",
    }
