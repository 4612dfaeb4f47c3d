"""The sandbox is exactly this, and docker-compose.yml says the same."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from lanner.errors import InfrastructureError
from lanner.records import Limits
from lanner.runners.policy import (
    ROOT_SUBSTITUTE,
    apptainer_command,
    charliecloud_command,
    container_options,
    for_podman,
    isolation,
    method_environment,
    sandbox_user,
)

REPOSITORY = Path(__file__).parent.parent.parent
COMPOSE = REPOSITORY / "docker-compose.yml"
LIMITS = Limits()


def options(limits: Limits = LIMITS, **changed: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "command": ["python", "predict.py"],
        "environment": {"LANNER_SEED": "0"},
        "user": (1000, 1000),
        "input_dir": Path("/in"),
        "output_dir": Path("/out"),
    }
    return container_options(limits, **{**arguments, **changed})


def test_the_sandbox_is_exactly_this() -> None:
    assert options() == {
        "network_mode": "none",
        "read_only": True,
        "privileged": False,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "init": True,
        "ipc_mode": "private",
        "shm_size": 2 << 30,
        "pids_limit": 1024,
        "oom_score_adj": 500,
        "hostname": "method",
        "tmpfs": {"/tmp": "rw,exec,nosuid,nodev,size=1024m,mode=1777"},
        "ulimits": [
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "fsize", "Soft": 2 << 30, "Hard": 2 << 30},
            {"Name": "nofile", "Soft": 4096, "Hard": 4096},
        ],
        "log_config": {"type": "json-file", "config": {"max-size": "8m", "max-file": "1"}},
        "healthcheck": {"test": ["NONE"]},
        "stop_signal": "SIGTERM",
        "entrypoint": ["python", "predict.py"],
        "environment": {"LANNER_SEED": "0", **method_environment(LIMITS)},
        "labels": {},
        "user": "1000:1000",
        "working_dir": "/method",
        "mem_limit": 2 << 30,
        "memswap_limit": 2 << 30,
        "nano_cpus": 1_000_000_000,
        "mounts": [
            {"Target": "/input", "Source": "/in", "Type": "bind", "ReadOnly": True},
            {"Target": "/output", "Source": "/out", "Type": "bind", "ReadOnly": False},
        ],
    }


def test_uid_0_is_refused_and_a_root_harness_uses_another() -> None:
    with pytest.raises(ValueError, match="uid 0"):
        options(user=(0, 0))
    assert sandbox_user()[0] != 0
    assert ROOT_SUBSTITUTE == (10001, 10001)


def test_volumes_of_the_image_are_masked_but_not_the_contract_s_own_folders() -> None:
    tmpfs = options(volumes={"/data": {}, "/output": {}, "/tmp": {}})["tmpfs"]
    assert tmpfs["/data"].endswith("size=1m")
    assert "/output" not in tmpfs
    assert "exec" in tmpfs["/tmp"].split(",")


def test_gpus_are_requested_only_when_asked_for() -> None:
    assert "device_requests" not in options()
    assert options()["environment"]["NVIDIA_VISIBLE_DEVICES"] == "void"
    granted = options(replace(LIMITS, gpus=2), devices=("GPU-a", "GPU-c"))
    assert granted["device_requests"] == [
        {"Driver": "", "DeviceIDs": ["GPU-a", "GPU-c"], "Capabilities": [["gpu"]]}
    ]
    assert "NVIDIA_VISIBLE_DEVICES" not in granted["environment"]


@pytest.mark.parametrize("devices", [(), ("GPU-a", "GPU-b")])
def test_a_run_is_given_just_the_devices_that_were_leased_for_it(devices: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"devices leased for a run that is granted 1"):
        options(replace(LIMITS, gpus=1), devices=devices)


def test_nothing_of_the_host_s_environment_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "canary")
    assert "canary" not in str(options())


def test_threads_follow_the_cpus_granted() -> None:
    assert method_environment(replace(LIMITS, cpus=4.0))["OMP_NUM_THREADS"] == "4"
    assert method_environment(replace(LIMITS, cpus=0.5))["MKL_NUM_THREADS"] == "1"


def test_another_runtime_changes_nothing_else() -> None:
    assert options(runtime="runsc") == {**options(), "runtime": "runsc"}
    assert "runtime" not in options(runtime=None)


def test_podman_gets_the_same_and_one_limit_more() -> None:
    adapted = for_podman(options())
    (more,) = [limit for limit in adapted.pop("ulimits") if limit not in options()["ulimits"]]
    assert more["Name"] == "nproc"
    assert adapted == {name: value for name, value in options().items() if name != "ulimits"}


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"runtime": "runsc"}, "its own settings"), ({"gpus": 1, "devices": ("GPU-a",)}, "grants no GPUs")],
)
def test_what_podman_would_ignore_is_refused(changed: dict[str, Any], says: str) -> None:
    limits = replace(LIMITS, gpus=changed.pop("gpus", 0))
    with pytest.raises(InfrastructureError, match=says):
        for_podman(options(limits, **changed))


def apptainer(cgroups: bool = True, **changed: Any) -> tuple[str, dict[str, str]]:
    limits = replace(LIMITS, gpus=len(changed.get("devices", ())))
    command, environment = apptainer_command(
        options(limits, **changed), image="image.sif", scratch=Path("/scratch"), cgroups=cgroups
    )
    return " ".join(command), environment


def test_apptainer_is_told_the_same_as_docker() -> None:
    command, environment = apptainer()
    assert command == (
        "apptainer exec --containall --cleanenv --no-privs --no-mount hostfs,bind-paths --net --network none "
        "--workdir /scratch --pwd /method --bind /in:/input:ro --bind /out:/output:rw --memory 2147483648 "
        "--memory-swap 2147483648 --cpus 1 --pids-limit 1024 --home /scratch:/tmp image.sif python predict.py"
    )
    inside = {name.removeprefix("APPTAINERENV_"): value for name, value in environment.items()}
    assert inside.pop("PATH")
    assert {**inside, "HOME": "/tmp"} == options()["environment"]


def test_apptainer_asks_for_limits_only_where_it_may_and_for_gpus_by_id() -> None:
    assert "--memory" not in apptainer(cgroups=False)[0]
    command, environment = apptainer(devices=("GPU-a", "GPU-b"))
    assert " --nv " in command
    assert environment["APPTAINERENV_CUDA_VISIBLE_DEVICES"] == "GPU-a,GPU-b"
    assert "--nv" not in apptainer()[0]


def test_nothing_of_the_host_s_environment_passes_to_apptainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "canary")
    assert "canary" not in str(apptainer())


def as_compose(limits: Limits) -> dict[str, Any]:
    """The policy in the words of a compose file."""
    policy = isolation(limits)
    return {
        **{name: policy[name] for name in policy if name not in ("ipc_mode", "log_config")},
        "ipc": policy["ipc_mode"],
        "tmpfs": [f"{path}:{how}" for path, how in policy["tmpfs"].items()],
        "ulimits": {one["Name"]: {"soft": one["Soft"], "hard": one["Hard"]} for one in policy["ulimits"]},
        "logging": {"driver": policy["log_config"]["type"], "options": policy["log_config"]["config"]},
        "healthcheck": {"disable": True},
        "mem_limit": limits.memory_mb << 20,
        "memswap_limit": limits.memory_mb << 20,
        "cpus": limits.cpus,
        "working_dir": "/method",
    }


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return document


def test_the_compose_file_states_the_same_sandbox() -> None:
    stated = compose()["x-sandbox"]
    environment = stated.pop("environment")
    volumes = {volume["target"]: volume for volume in stated.pop("volumes")}
    assert stated.pop("user") == "${LANNER_UID:-10001}:${LANNER_GID:-10001}"
    assert stated == as_compose(LIMITS)
    assert environment.items() >= method_environment(LIMITS).items()
    assert {name for name in environment if name not in method_environment(LIMITS)} == {
        "LANNER_INPUT", "LANNER_OUTPUT", "LANNER_SEED", "LANNER_CPUS", "LANNER_MEMORY_MB", "LANNER_GPUS",
        "LANNER_TIMEOUT_S",
    }  # fmt: skip
    assert volumes["/input"]["read_only"] is True
    assert set(volumes) == {"/input", "/output"}


def test_every_bundled_method_has_its_profile_and_the_same_sandbox() -> None:
    document = compose()
    methods = {path.parent.name for path in REPOSITORY.glob("method_containers/*/method.yaml")}
    assert set(document["services"]) == methods | {"site"}
    for name in methods:
        service = document["services"][name]
        own = {"profiles": [name], "build": f"method_containers/{name}"}
        assert service == {**document["x-sandbox"], **own}


def test_nothing_mounts_the_engine_s_socket() -> None:
    assert "docker.sock" not in COMPOSE.read_text()


def test_the_site_is_served_read_only_and_only_to_this_machine() -> None:
    site = compose()["services"]["site"]
    assert site["ports"] == ["127.0.0.1:${LANNER_PORT:-8000}:8000"]
    assert all(volume["read_only"] for volume in site["volumes"])


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_docker_compose_accepts_the_file() -> None:
    subprocess.run(["docker-compose", "-f", COMPOSE, "config", "-q"], check=True, capture_output=True)


def charliecloud(**changed: Any) -> tuple[list[str], dict[str, str]]:
    return charliecloud_command(options(**changed), image=Path("/images/one"), scratch=Path("/scratch"))


def test_charliecloud_is_told_the_same_as_docker_and_namespaces_add_what_it_lacks() -> None:
    command, environment = charliecloud()
    before, after = command[: command.index("ch-run")], command[command.index("ch-run") :]
    namespaces = (
        "unshare --user --map-current-user --pid --fork --kill-child=KILL --mount-proc --ipc --uts --net"
    )
    assert " ".join(before[:-4]) == namespaces
    assert before[-4:-2] == ["sh", "-c"] and before[-2].startswith('"$@"; ')  # a process 1, not the method
    assert after[-4:] == ["/images/one", "--", "python", "predict.py"]
    assert "--private-tmp" in after and "--write" not in after and "--home" not in after
    binds = [after[place + 1] for place, word in enumerate(after) if word == "--bind"]
    assert binds == ["/in:/input", "/out:/output", "/scratch/tmp:/tmp", "/scratch/shm:/dev/shm"]
    assert after.index("--unset-env=*") < after.index("--set-env=LANNER_SEED=0")
    assert "--set-env=HOME=/tmp" in after and after[after.index("--cd") + 1] == "/method"
    assert environment["LANNER_OUTPUT"] == "/out"  # by which what a killed harness left is found


def test_nothing_of_the_host_s_environment_passes_to_charliecloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "canary")
    assert "canary" not in str(charliecloud())


def test_charliecloud_leases_no_gpu_as_it_shows_them_all() -> None:
    with pytest.raises(InfrastructureError, match="no GPU can be leased to it alone"):
        charliecloud(limits=Limits(gpus=1), devices=("GPU-a",))
