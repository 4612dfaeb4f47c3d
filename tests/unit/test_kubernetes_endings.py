"""What the API server says of a pod's end, and whose fault that makes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from lanner.errors import ErrorClass
from lanner.execution.kubernetes_endings import newest, verdict
from lanner.records import Limits

LIMITS = Limits(timeout_s=60)
WORKS: dict[str, Any] = {"metadata": {"name": "job"}, "status": {"active": 1}}


def ended(code: int, seconds: int = 5, reason: str = "", **more: str) -> dict[str, Any]:
    return {
        "terminated": {
            "exitCode": code,
            "reason": reason or ("Completed" if code == 0 else "Error"),
            "startedAt": "2026-01-31T12:00:00Z",
            "finishedAt": f"2026-01-31T12:{seconds // 60:02d}:{seconds % 60:02d}Z",
            **more,
        }
    }


RUNS = {"running": {"startedAt": "2026-01-31T12:00:00Z"}}
WAITS = {"waiting": {"reason": "PodInitializing"}}


def pod(
    phase: str, stage: Any = WAITS, method: Any = WAITS, check: Any = WAITS, **status: Any
) -> dict[str, Any]:
    return {
        "metadata": {"name": "job-x", "creationTimestamp": "2026-01-31T11:59:00Z"},
        "spec": {"nodeName": "node-7"},
        "status": {
            "phase": phase,
            "initContainerStatuses": [
                {"name": "stage", "state": stage},
                {"name": "method", "state": method},
            ],
            "containerStatuses": [{"name": "check", "state": check}],
            **status,
        },
    }


def failed(kind: str, reason: str) -> dict[str, Any]:
    return {**WORKS, "status": {"conditions": [{"type": kind, "status": "True", "reason": reason}]}}


def late(time: str) -> dict[str, Any]:
    """A Job whose deadline was at ``time``; that its pods have gone comes later."""
    job = failed("FailureTarget", "DeadlineExceeded")
    first = {**job["status"]["conditions"][0], "lastTransitionTime": f"2026-01-31T{time}Z"}
    last = {**first, "type": "Failed", "lastTransitionTime": "2026-01-31T13:00:00Z"}
    return {**job, "status": {"conditions": [last, first]}}


def timed(pod: dict[str, Any], *, taken: str, seconds: int) -> dict[str, Any]:
    """A pod that a node took at ``taken``, with a deadline of its own."""
    pod["status"]["startTime"] = f"2026-01-31T{taken}Z"
    pod["spec"]["activeDeadlineSeconds"] = seconds
    return pod


def going(pod: dict[str, Any]) -> dict[str, Any]:
    pod["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:10Z"
    return pod


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


DISRUPTED = [
    {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": "taint"}
]
EVICTED_OUTPUT = 'Usage of EmptyDir volume "output" exceeds the limit "2Gi". '


@pytest.mark.parametrize(
    "seen",
    [
        (WORKS, None),
        (WORKS, pod("Pending")),
        (WORKS, pod("Pending", stage=RUNS)),
        (WORKS, pod("Pending", ended(0), RUNS)),
        (WORKS, pod("Pending", ended(0), ended(1))),
        (WORKS, pod("Running", ended(0), ended(0), RUNS)),
        (WORKS, pod("Pending", stage=waiting("ErrImagePull", "a moment's"))),
        (WORKS, {"metadata": {"name": "new"}, "status": {"phase": "Pending"}}),
    ],
    ids=["no-pod", "pending", "staging", "running", "failing", "checking", "pull-again", "no-statuses"],
)
def test_what_waits_or_works_has_no_end_yet(seen: Any) -> None:
    assert verdict(*seen, LIMITS) is None


ENDS = {
    "success": (WORKS, pod("Succeeded", ended(0), ended(0), ended(0)), None),
    "its own exit code": (WORKS, pod("Failed", ended(0), ended(3)), ErrorClass.METHOD_ERROR),
    "not applicable": (WORKS, pod("Failed", ended(0), ended(99)), ErrorClass.NOT_APPLICABLE),
    "a crash": (WORKS, pod("Failed", ended(0), ended(139)), ErrorClass.CRASH),
    "memory": (WORKS, pod("Failed", ended(0), ended(137, reason="OOMKilled")), ErrorClass.OOM),
    "over its time though well": (
        WORKS,
        pod("Succeeded", ended(0), ended(0, 61), ended(0)),
        ErrorClass.TIMEOUT,
    ),
    "killed at the pod's deadline": (
        WORKS,
        pod("Failed", ended(0), ended(137, 300), reason="DeadlineExceeded"),
        ErrorClass.TIMEOUT,
    ),
    "deadline after all of its own time, and its state never updated": (
        WORKS,
        timed(pod("Failed", ended(0), RUNS, reason="DeadlineExceeded"), taken="11:59:30", seconds=95),
        ErrorClass.TIMEOUT,
    ),
    "deadline after a slow pull, and its state never updated": (
        WORKS,
        timed(pod("Failed", ended(0), RUNS, reason="DeadlineExceeded"), taken="11:58:50", seconds=95),
        ErrorClass.PLATFORM_ERROR,
    ),
    "the Job's deadline in the middle of its time": (
        late("12:00:20"),
        pod("Running", ended(0), RUNS),
        ErrorClass.PLATFORM_ERROR,
    ),
    "the Job's deadline in the middle of its time, and it was killed": (
        late("12:00:20"),
        going(pod("Failed", ended(0), ended(137, 30))),
        ErrorClass.PLATFORM_ERROR,
    ),
    "the Job's deadline shortly before its own, and it was killed after it": (
        late("12:00:55"),
        going(pod("Failed", ended(0), ended(137, 65))),
        ErrorClass.PLATFORM_ERROR,
    ),
    "the Job's deadline after all of its own time": (
        late("12:01:20"),
        pod("Running", ended(0), RUNS),
        ErrorClass.TIMEOUT,
    ),
    "its pod deleted by somebody": (WORKS, going(pod("Failed", ended(0), ended(137))), ErrorClass.LOST),
    "its pod deleted, and it heard": (WORKS, going(pod("Failed", ended(0), ended(143))), ErrorClass.LOST),
    "its pod deleted, but memory was its end": (
        WORKS,
        going(pod("Failed", ended(0), ended(137, reason="OOMKilled"))),
        ErrorClass.OOM,
    ),
    "its pod deleted after its time": (
        WORKS,
        going(pod("Failed", ended(0), ended(137, 61))),
        ErrorClass.TIMEOUT,
    ),
    "deadline while the image was pulled": (
        WORKS,
        pod("Failed", ended(0), waiting("PodInitializing"), reason="DeadlineExceeded"),
        ErrorClass.PLATFORM_ERROR,
    ),
    "deadline before its own time was over": (
        WORKS,
        pod("Failed", ended(0), ended(137, 20), reason="DeadlineExceeded"),
        ErrorClass.PLATFORM_ERROR,
    ),
    "never scheduled": (failed("Failed", "DeadlineExceeded"), None, ErrorClass.PLATFORM_ERROR),
    "too much output": (
        WORKS,
        pod("Failed", ended(0), RUNS, reason="Evicted", message=EVICTED_OUTPUT, conditions=DISRUPTED),
        ErrorClass.OUTPUT_TOO_LARGE,
    ),
    "evicted by a node short of memory": (
        WORKS,
        pod("Failed", ended(0), RUNS, reason="Evicted", message="The node was low on resource: memory."),
        ErrorClass.LOST,
    ),
    "node lost": (failed("Failed", "BackoffLimitExceeded"), None, ErrorClass.LOST),
    "node lost, its pod still told of": (
        WORKS,
        pod("Failed", ended(0), RUNS, conditions=DISRUPTED),
        ErrorClass.LOST,
    ),
    "node lost, its pod never confirmed gone": (
        failed("FailureTarget", "BackoffLimitExceeded"),
        pod("Running", ended(0), RUNS),
        ErrorClass.LOST,
    ),
    "node shut down": (WORKS, pod("Failed", ended(0), RUNS, reason="NodeShutdown"), ErrorClass.LOST),
    "no such image": (WORKS, pod("Pending", ended(0), waiting("ImagePullBackOff")), ErrorClass.PULL_ERROR),
    "no harness image": (WORKS, pod("Pending", waiting("ImagePullBackOff")), ErrorClass.PULL_ERROR),
    "no such command": (
        WORKS,
        pod(
            "Failed",
            ended(0),
            ended(128, reason="StartError", message='exec: "x": executable file not found'),
        ),
        ErrorClass.START_ERROR,
    ),
    "a secret that is missing": (
        WORKS,
        pod("Pending", waiting("CreateContainerConfigError", "secret not found")),
        ErrorClass.PLATFORM_ERROR,
    ),
    "its Job deleted by somebody": (None, None, ErrorClass.LOST),
    "its Job deleted, its pod going": (None, pod("Running", ended(0), RUNS), ErrorClass.LOST),
    "staging killed": (WORKS, pod("Failed", ended(137, reason="OOMKilled")), ErrorClass.LOST),
    "checking killed": (WORKS, pod("Failed", ended(0), ended(0), ended(137)), ErrorClass.LOST),
}


@pytest.mark.parametrize(("job", "seen", "expected"), ENDS.values(), ids=ENDS.keys())
def test_each_end_is_charged_to_the_right_party(job: Any, seen: Any, expected: ErrorClass | None) -> None:
    found = verdict(job, seen, LIMITS)
    assert found is not None and found.error_class == expected
    assert expected is None or found.message


@pytest.mark.parametrize(("minute", "expected"), [(0, ErrorClass.PLATFORM_ERROR), (2, ErrorClass.TIMEOUT)])
def test_a_deadline_nobody_tells_the_time_of_was_at_most_now(minute: int, expected: ErrorClass) -> None:
    now = datetime(2026, 1, 31, 12, minute, 30, tzinfo=UTC)
    found = verdict(WORKS, pod("Failed", ended(0), RUNS, reason="DeadlineExceeded"), LIMITS, now=now)
    assert found is not None and found.error_class == expected


def test_a_method_s_last_line_is_its_reason() -> None:
    found = verdict(WORKS, pod("Failed", ended(0), ended(99)), LIMITS, "needs doses")
    assert found is not None and found.message == "needs doses"


def test_an_end_of_a_pod_that_waits_for_ever_is_known_as_such() -> None:
    found = verdict(WORKS, pod("Pending", ended(0), waiting("InvalidImageName", "\x1b[31mbad")), LIMITS)
    assert found is not None and found.is_stuck and "\x1b" not in found.message and "bad" in found.message


def test_of_two_pods_the_one_that_claimed_the_attempt_counts() -> None:
    first, second = pod("Pending", ended(0), RUNS), pod("Failed", ended(75))
    second["metadata"] = {"name": "job-y", "creationTimestamp": "2026-01-31T12:30:00Z"}
    assert newest([first, second]) is first
    assert newest([second]) is second and newest([]) is None
