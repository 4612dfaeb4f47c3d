"""What this machine can do for Lanner: one finding per check, with the fix for what is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from lanner import __version__
from lanner.config import Settings
from lanner.errors import LannerError

DISK_WANTED = 5 << 30
MEMORY_WANTED = 4 << 30

PROMISES: Mapping[str, str] = {
    "docker": "no network, read-only root, no capabilities, memory, processes, output and time bounded; "
    "shares the host's kernel, so not against kernel exploits",
    "podman": "the same, through the same SDK; but its default seccomp profile lets a method make user "
    "namespaces, and on cgroup v1 it does not say when memory ran out",
    "runsc": "gVisor: a kernel of its own between method and host; slower file access, GPUs on few drivers",
    "charliecloud": "no network, read-only root, no other process or file to see, as you; memory is watched, "
    "output and time are bounded, but no kernel limits memory or processes, no system call is filtered, and "
    "/dev and /sys are the host's: no GPUs, and a batch system should hold the rest",
    "apptainer": "driven by its manual's word, run by no Apptainer yet; as you, memory and processes held "
    "only with delegated cgroups (LANNER_APPTAINER_CGROUPS=1): for trusted methods, in a batch system",
    "kubernetes": "the same sandbox as pods, never run on a real cluster; the network is closed only where "
    "its network plugin keeps policies, processes are bounded only by the kubelet's own limit",
    "process": "limits but no isolation: a method can read what you can, so only Lanner's own run so, "
    "labelled unsealed",
}
"""What each way to run a method can and cannot promise."""

UPDATE = "the engine ignores part of the sandbox: update it, and report this with `lanner doctor --json`"
DENIED_FIXES: Mapping[str, str] = {
    "connect by address": "the engine ignores network_mode none: check its default network settings",
    "reach the bridge": "the engine ignores network_mode none: check its default network settings",
    "resolve a name": "the engine ignores network_mode none: check its default network settings",
    "see another interface": "the engine ignores network_mode none: check its default network settings",
    "find the engine's socket": "the engine mounts its socket into containers: remove that from its settings",
    "unshare a user namespace": "use Docker, or set seccomp_profile in containers.conf to a profile without "
    "unshare; or `sysctl user.max_user_namespaces=0` where nothing else needs them",
    "call the kernel unfiltered": "switch seccomp on: a kernel with CONFIG_SECCOMP, no `unconfined` default",
    "see a GPU": "do not make nvidia the engine's default runtime, or set accept-nvidia-visible-devices-"
    "envvar-when-unprivileged = false in its config.toml",
    "be root": "the engine ignores the user: check its userns settings",
}
ALLOWED_FIXES: Mapping[str, str] = {
    "write to the output": "LANNER_HOME must be on a disk the engine can mount and its users can cross",
    "read the input": "LANNER_HOME must be on a disk the engine can mount and its users can cross",
    "load a library from /tmp": "the engine mounts /tmp noexec in spite of `exec`: update it",
    "run a program from /tmp": "the engine mounts /tmp noexec in spite of `exec`: update it",
    "share 80 MB between processes": "the engine ignores shm_size: update it",
}
HARMLESS_ALONE = frozenset({"unshare a user namespace"})
"""A larger surface of the kernel, but no way out: a warning."""


@dataclass(frozen=True)
class Finding:
    """One check: ``level`` is ok, warning or error; ``fix`` says what to do about the latter two."""

    check: str
    level: str
    found: str
    fix: str = ""


def examine(settings: Settings, *, quick: bool = False) -> Iterator[Finding]:
    """Every finding, as it is made; ``quick`` starts no container."""
    checks: tuple[Callable[[Settings], Finding], ...] = (
        _versions, _home, _disk, _memory, _cgroup, _reader, _gpu, _mirror, _registries,
    )  # fmt: skip
    for check in checks:
        yield check(settings)
    yield from _engines(quick)


def _versions(settings: Settings) -> Finding:
    python = platform.python_version()
    return Finding("versions", "ok", f"lanner {__version__}, Python {python}, {platform.platform()}")


def _home(settings: Settings) -> Finding:
    probe = settings.home / f".doctor.{os.getpid()}"
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        found = f"{settings.home}: {error.strerror}"
        return Finding("LANNER_HOME", "error", found, "set LANNER_HOME to a writable folder")
    return Finding("LANNER_HOME", "ok", str(settings.home))


def _disk(settings: Settings) -> Finding:
    folder = next(path for path in (settings.home, *settings.home.parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    found = f"{free / 2**30:.1f} GiB free"
    if free < DISK_WANTED:
        return Finding("disk", "warning", found, "free 5 GiB, or set LANNER_HOME to another disk")
    return Finding("disk", "ok", found)


def _memory(settings: Settings) -> Finding:
    memory = psutil.virtual_memory()
    found = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free, {os.cpu_count()} cores"
    if memory.available < MEMORY_WANTED:
        return Finding("memory", "warning", found, "free 4 GiB, or lower limits.memory_mb and --jobs")
    return Finding("memory", "ok", found)


def _cgroup(settings: Settings) -> Finding:
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").is_file():
        return Finding("cgroups", "ok", "version 2")
    if (root / "memory").is_dir():
        return Finding("cgroups", "ok", "version 1")
    fix = "usage is not measured here; containers in a virtual machine are limited all the same"
    return Finding("cgroups", "warning", "none to be read", fix)


def _reader(settings: Settings) -> Finding:
    """What would hold whoever reads a prediction here: tried, on a file that a method could have written."""
    from lanner import ingest

    try:
        held = ingest.confinement()
    except LannerError as error:
        return Finding("reader", "error", "nothing would hold whoever reads a prediction", str(error))
    if held.startswith("rlimits only"):
        fix = f"unset {ingest.UNCONFINED_VARIABLE}, on a machine with Landlock or user namespaces"
        return Finding("reader", "warning", f"{held}: a hostile prediction could read your files", fix)
    return Finding("reader", "ok", held)


def _gpu(settings: Settings) -> Finding:
    from lanner import scoring
    from lanner.runners import gpus

    devices = scoring.devices()
    scores = f"scores are computed on {', '.join(devices)}" if devices else "scores are computed on the CPU"
    granted = gpus.devices()
    if granted:
        return Finding("gpu", "ok", f"methods may lease {', '.join(granted)}; {scores}")
    fix = (
        "" if not devices else "put the driver's nvidia-smi on PATH: devices are granted by the ids it lists"
    )
    return Finding("gpu", "warning" if fix else "ok", f"none for methods; {scores}", fix)


def _mirror(settings: Settings) -> Finding:
    folders = os.pathsep.join(map(str, settings.mirrors))
    return Finding("LANNER_MIRROR", "ok", folders or "not set: datasets are downloaded from their URLs")


def _registries(settings: Settings) -> Finding:
    from lanner import datasets, methods

    try:
        found = f"{len(datasets.entries(settings))} datasets, {len(methods.entries(settings))} methods"
    except LannerError as error:
        return Finding("registries", "error", str(error), "correct the entry, or move its folder away")
    paths = [path for kind in ("datasets", "methods") for path in settings.entry_folders(kind)]
    folders = ", ".join(sorted({str(path.parent) for path in paths}))
    return Finding("registries", "ok", f"{found} in {folders}")


def _engines(quick: bool) -> Iterator[Finding]:
    from lanner.runners import docker

    yield _installed("podman", "podman")
    yield _installed("charliecloud", "ch-run")
    yield _installed("apptainer", "apptainer", "singularity")
    yield _kubernetes()
    yield Finding("process runner", "ok", PROMISES["process"])
    reason = docker.docker_available()
    if reason is not None:
        fix = "install and start Docker or podman; without it only Lanner's own methods run, unsealed"
        yield Finding("docker", "warning", reason, fix)
        return
    engine = docker.engine_facts()
    name = "podman" if engine.name == "Podman" else "docker"
    yield Finding("docker", "ok", f"{engine}: {PROMISES[name]}")
    yield _runtime(engine)
    if engine.rootless and engine.cgroup == "1":
        found = "a rootless engine on cgroup v1 keeps no limit of memory, CPUs or processes"
        yield Finding("limits", "warning", found, "boot with cgroup v2, or let a batch system hold them")
    if quick:
        yield Finding("sandbox", "ok", "not tried (--quick)")
        return
    try:
        yield from _sandbox()
    except LannerError as error:
        fix = "see the engine's own log; podman needs catatonit; LANNER_HOME and TMPDIR must be mountable"
        yield Finding("sandbox", "error", str(error), fix)


def _installed(check: str, *programs: str) -> Finding:
    program = next((found for found in map(shutil.which, programs) if found), None)
    if program is None:
        return Finding(check, "ok", "not installed")
    version = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, env={"USER": "any", **os.environ}
    ).stdout.strip()
    reach = ""
    if check == "podman" and "podman" not in os.environ.get("DOCKER_HOST", ""):
        reach = " (not in use: `podman system service --time=0 unix://SOCKET`, DOCKER_HOST=unix://SOCKET)"
    return Finding(check, "ok", f"{version}{reach}: {PROMISES[check]}")


def _kubernetes() -> Finding:
    """Nothing is asked of a cluster: what it keeps of the sandbox is for its owner to see to."""
    if importlib.util.find_spec("kubernetes") is None:
        return Finding("kubernetes", "ok", "client not installed (pip install 'lanner[kubernetes]')")
    return Finding("kubernetes", "ok", f"client installed: {PROMISES['kubernetes']}")


def _runtime(engine: object) -> Finding:
    from lanner.runners.docker import Engine
    from lanner.runners.policy import PODMAN_RUNTIME, RUNTIME_VARIABLE

    assert isinstance(engine, Engine)
    chosen = os.environ.get(RUNTIME_VARIABLE)
    if chosen and engine.name == "Podman":
        found = f"{RUNTIME_VARIABLE}={chosen}, which podman's API ignores"
        return Finding("runtime", "error", found, PODMAN_RUNTIME)
    if chosen and chosen not in engine.runtimes:
        fix = f"install {chosen} and name it in the engine's settings, or unset {RUNTIME_VARIABLE}"
        return Finding("runtime", "error", f"{chosen} is not known to the engine", fix)
    promise = f": {PROMISES['runsc']}" if chosen == "runsc" else ""
    offer = "" if chosen else f"; {RUNTIME_VARIABLE}=runsc uses gVisor where it is installed"
    return Finding("runtime", "ok", f"{chosen or engine.default_runtime}{promise}{offer}")


def _sandbox() -> Iterator[Finding]:
    """The battery, run for real: who a container is, whether memory is reported, both lists of attempts."""
    from lanner.runners.battery import BASE_IMAGE, Battery, expected_user
    from lanner.runners.docker import DockerRunner, has_image

    if not has_image(BASE_IMAGE):
        fix = f"docker pull {BASE_IMAGE}, then run `lanner doctor` again"
        yield Finding("sandbox", "warning", f"not tried: {BASE_IMAGE} is not here", fix)
        return
    os.environ.setdefault("SECRET_TOKEN", "canary")  # of which a container must see nothing
    with tempfile.TemporaryDirectory(prefix="lanner-doctor-") as folder:
        Path(folder).chmod(0o711)  # a container's user must be able to cross it
        battery = Battery(DockerRunner(), Path(folder))
        battery.prepare()
        owner = battery.ownership()
        found = f"containers run as {owner.inside}, their files are {owner.outside}'s outside"
        if owner.readable and owner.inside == expected_user():
            yield Finding("users", "ok", f"{found} and readable")
        else:
            fix = "run Lanner as the engine's own user; with podman, userns keep-id keeps files yours"
            yield Finding("users", "error", f"{found}, not as {expected_user()} readable here", fix)
        if battery.reports_memory():
            yield Finding(
                "memory flag", "ok", "a container that allocates past its limit is reported as such"
            )
        else:
            fix = "use Docker with containerd 1.6 or newer; until then such runs read CRASH (SIGKILL)"
            yield Finding("memory flag", "warning", "running out of memory is not reported", fix)
        report = battery.attempts()
    for what, result in report.denied.items():
        if result == "ok":
            level = "warning" if what in HARMLESS_ALONE else "error"
            yield Finding(f"denied: {what}", level, "it worked", DENIED_FIXES.get(what, UPDATE))
        else:
            yield Finding(f"denied: {what}", "ok", result)
    for what, result in report.allowed.items():
        level, fix = ("ok", "") if result == "ok" else ("error", ALLOWED_FIXES.get(what, UPDATE))
        yield Finding(f"allowed: {what}", level, result, fix)
