"""The objects a cluster is given: strictly against the published schemas, and against what the sandbox is."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from lanner.execution.kubernetes_images import Declared
from lanner.execution.kubernetes_manifests import Site, job, job_name, network_policy
from lanner.pipeline import contract_environment
from lanner.records import Limits

VERSIONS = ("1.27", "1.31", "1.35")
OPTIONS = {"engine": "kubernetes", "image": "registry.example.org/lanner:0.1", "claim": "lanner-home"}
EVERYTHING = {
    **OPTIONS,
    "claim_path": "stores/mine",
    "runtime_class": "gvisor",
    "node_selector": {"pool": "gpu"},
    "pull_secrets": ["regcred"],
}
SITE = Site(home=Path("/srv/lanner"), user=(1000, 1000), options=OPTIONS)
LIMITS = Limits(cpus=1.5, memory_mb=4096, timeout_s=600)


def rendered(limits: Limits = LIMITS, declared: Declared | None = None, **options: Any) -> dict[str, Any]:
    site = Site(home=SITE.home, user=SITE.user, options={**OPTIONS, **options})
    return job(
        site,
        key="0123456789abcdef" * 4,
        attempt=Path("/srv/lanner/runs/tiny/12345678/mean/01234567/attempt-2"),
        image="registry.example.org/lanner/mean:abcdef012345",
        command=["python", "run.py"],
        environment=contract_environment(7, limits),
        limits=limits,
        declared=declared or Declared(),
    )


def pod(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["spec"]["template"]["spec"]
    return found


def containers(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    spec = pod(document)
    return {item["name"]: item for item in (*spec["initContainers"], *spec["containers"])}


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "document",
    [
        rendered(),
        rendered(Limits(gpus=2)),
        rendered(declared=Declared(volumes=("/data",))),
        rendered(**EVERYTHING),
        network_policy(),
    ],
    ids=["plain", "gpus", "volumes", "everything", "policy"],
)
def test_every_object_fits_the_published_schema_of_its_kind(document: dict[str, Any], version: str) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    validator.validate(document, version, strict=True)


def test_the_schemas_refuse_a_field_that_does_not_exist() -> None:
    validator = pytest.importorskip("kubernetes_validate")
    wrong = deepcopy(rendered())
    pod(wrong)["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = True  # a letter's case
    with pytest.raises(validator.ValidationError):
        validator.validate(wrong, VERSIONS[0], strict=True)


def test_the_official_client_reads_every_field_back() -> None:
    """What its models do not know they drop: nothing is dropped."""
    client = pytest.importorskip("kubernetes.client")
    api = client.ApiClient()
    for document, kind in ((rendered(**EVERYTHING), "V1Job"), (network_policy(), "V1NetworkPolicy")):
        model = api._ApiClient__deserialize(document, kind)
        assert api.sanitize_for_serialization(model) == document


def test_the_method_s_container_mounts_its_input_its_output_and_nothing_of_lanner_home() -> None:
    method = containers(rendered())["method"]
    mounts = {item["mountPath"]: item for item in method["volumeMounts"]}
    assert set(mounts) == {"/input", "/output", "/tmp", "/dev/shm"}
    assert mounts["/input"]["readOnly"] and mounts["/input"]["subPath"] == "input"
    assert "readOnly" not in mounts["/output"]
    assert "home" not in {item["name"] for item in method["volumeMounts"]}
    assert "/srv/lanner" not in str(method)


@pytest.mark.parametrize("folder", ["/method", "/opt/app"])
def test_a_method_starts_where_it_is_told_that_its_files_are(folder: str) -> None:
    method = containers(rendered(declared=Declared(working_dir=folder)))["method"]
    told = {item["name"]: item["value"] for item in method["env"]}["LANNER_METHOD_DIR"]
    assert method["workingDir"] == told == folder


def test_an_image_s_own_volumes_hold_next_to_nothing_and_hide_no_mount_of_ours() -> None:
    image = Declared(volumes=("/data", "/data/", "/tmp", "/output", "/input/", "/dev/shm", "/var/lib/x"))
    document = rendered(declared=image)
    mounts = {item["mountPath"]: item["name"] for item in containers(document)["method"]["volumeMounts"]}
    assert set(mounts) == {"/input", "/output", "/tmp", "/dev/shm", "/data", "/var/lib/x"}
    volumes = {item["name"]: item for item in pod(document)["volumes"]}
    for path in ("/data", "/var/lib/x"):
        assert volumes[mounts[path]]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Mi"}
    names = [
        mount["name"] for step in ("stage", "check") for mount in containers(document)[step]["volumeMounts"]
    ]
    assert not {mounts["/data"], mounts["/var/lib/x"]} & set(names)


def test_no_container_of_the_harness_lives_while_the_method_does() -> None:
    """Init containers run one after another, each to its end, before the others start."""
    spec = pod(rendered())
    assert [item["name"] for item in spec["initContainers"]] == ["stage", "method"]
    assert [item["name"] for item in spec["containers"]] == ["check"]
    assert not any("restartPolicy" in item for item in spec["initContainers"])  # none is a sidecar
    checked = {item["mountPath"]: item for item in containers(rendered())["check"]["volumeMounts"]}
    assert checked["/output"]["readOnly"] and "/input" not in checked


def test_pods_obey_the_restricted_pod_security_standard() -> None:
    """Each rule of "Restricted" in kubernetes.io/docs/concepts/security/pod-security-standards/."""
    document = rendered(**EVERYTHING)
    spec = pod(document)
    assert {key for volume in spec["volumes"] for key in volume} <= {
        "name",
        "emptyDir",
        "persistentVolumeClaim",
    }
    assert not spec["hostNetwork"] and not spec["hostPID"] and not spec["hostIPC"]
    assert not {"hostPath", "hostPort", "sysctls", "procMount"} & {key for key, _ in walk(document)}
    for item in containers(document).values():
        context = item["securityContext"]
        assert context["allowPrivilegeEscalation"] is False and context["privileged"] is False
        assert context["runAsNonRoot"] is True and context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["securityContext"]["runAsUser"] == 1000 and spec["automountServiceAccountToken"] is False


def test_every_container_is_bounded_and_the_method_gets_what_its_run_is_granted() -> None:
    found = containers(rendered(Limits(cpus=0.5, memory_mb=1024, gpus=1)))
    for item in found.values():
        limits, requests = item["resources"]["limits"], item["resources"]["requests"]
        assert {name: limits[name] for name in ("cpu", "memory")} == {
            name: requests[name] for name in ("cpu", "memory")
        }
    assert found["method"]["resources"]["limits"] == {
        "cpu": "500m",
        "memory": "1024Mi",
        "nvidia.com/gpu": "1",
        "ephemeral-storage": f"{Limits().output_mb + 65536}Mi",
    }
    assert found["method"]["resources"]["requests"]["ephemeral-storage"] == "8Mi"
    assert "nvidia.com/gpu" not in found["check"]["resources"]["limits"]
    volumes = {item["name"]: item for item in pod(rendered())["volumes"]}
    assert volumes["output"]["emptyDir"]["sizeLimit"] == f"{LIMITS.output_mb}Mi"
    assert volumes["tmp"]["emptyDir"] == {"medium": "Memory", "sizeLimit": f"{LIMITS.tmp_mb}Mi"}


def test_a_job_is_tried_once_ends_in_time_and_is_forgotten() -> None:
    spec = rendered(time_overhead_s=60, queue_s=1000, ttl_s=5)["spec"]
    assert spec["backoffLimit"] == 0 and spec["ttlSecondsAfterFinished"] == 5
    inside = spec["template"]["spec"]["activeDeadlineSeconds"]
    assert inside > LIMITS.timeout_s + 60 and spec["activeDeadlineSeconds"] == inside + 1000
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_the_policy_denies_all_traffic_of_every_pod_we_make() -> None:
    policy = network_policy()["spec"]
    marks = rendered()["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= marks.items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy and "egress" not in policy


def test_a_gpu_is_hidden_from_a_run_that_is_granted_none() -> None:
    def variables(limits: Limits) -> dict[str, str]:
        return {item["name"]: item["value"] for item in containers(rendered(limits))["method"]["env"]}

    assert variables(Limits())["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert "NVIDIA_VISIBLE_DEVICES" not in variables(Limits(gpus=1))
    assert variables(LIMITS)["LANNER_SEED"] == "7" and variables(LIMITS)["LANNER_INPUT"] == "/input"


def test_names_are_labels_of_dns_and_differ_by_attempt_and_store() -> None:
    other = Site(home=Path("/srv/other"), user=(1, 1), options=OPTIONS)
    names = {job_name(site, "ab" * 32, f"attempt-{n}") for site in (SITE, other) for n in (1, 2)}
    assert len(names) == 4 and all(len(name) <= 63 and name.islower() for name in names)
