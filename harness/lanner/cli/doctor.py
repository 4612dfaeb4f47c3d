"""``doctor``: what this machine can do for Lanner, and the fix for what it cannot."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass

import click

from lanner import __version__
from lanner.cli.output import json_option, print_json, print_table
from lanner.config import Settings
from lanner.errors import InfrastructureError, LannerError

DISK_WANTED = 5 << 30


@dataclass(frozen=True)
class Finding:
    """One check: ``level`` is ok, warning or error; ``fix`` says what to do about the latter two."""

    check: str
    level: str
    found: str
    fix: str = ""


@click.command("doctor")
@json_option
@click.pass_obj
def doctor_command(settings: Settings, as_json: bool) -> int:
    """Check Docker, disk, memory, confinement, GPU and the registries; say how to fix what is missing.

    Exits 4 when something Lanner cannot do without is broken; a missing Docker Engine is a warning.

    \b
    Examples:
      lanner doctor
      lanner doctor --json
    """
    checks: tuple[Callable[[Settings], Finding], ...] = (
        _versions,
        _home,
        _disk,
        _memory,
        _docker,
        _landlock,
        _gpu,
        _mirror,
        _registries,
    )
    findings = [check(settings) for check in checks]
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        rows = [(finding.level, finding.check, finding.found, finding.fix) for finding in findings]
        print_table(("", "check", "found", "fix"), rows)
    broken = any(finding.level == "error" for finding in findings)
    return InfrastructureError.exit_code if broken else 0


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
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free, {os.cpu_count()} cores"
    if memory.available < 4 << 30:
        return Finding("memory", "warning", found, "free 4 GiB, or lower limits.memory_mb and --jobs")
    return Finding("memory", "ok", found)


def _docker(settings: Settings) -> Finding:
    from lanner.runners.docker import docker_available

    reason = docker_available()
    if reason is not None:
        fix = "install and start Docker; without it only Lanner's own methods run, unsealed"
        return Finding("docker", "warning", reason, fix)
    from lanner.runners.docker import describe_engine

    return Finding("docker", "ok", describe_engine())


def _landlock(settings: Settings) -> Finding:
    from lanner.ingest_child import landlock_abi

    abi = landlock_abi()
    if abi == 0:
        fix = "use Linux 5.13 or newer; until then predictions are checked in a child with limits only"
        return Finding("landlock", "warning", "not available", fix)
    return Finding("landlock", "ok", f"ABI {abi}")


def _gpu(settings: Settings) -> Finding:
    from lanner import scoring

    devices = scoring.devices()
    return Finding("gpu", "ok", ", ".join(devices) if devices else "none: scores are computed on the CPU")


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
