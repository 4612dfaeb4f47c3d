"""How a run's Job ended and whose fault that was: a pure function of what the API server says of it.

Reasons are those that Kubernetes documents for pods, containers and Jobs (Pod Lifecycle; Jobs; Node-pressure
Eviction). What the method's own container did is classified as every runner's is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from lanner.errors import ErrorClass
from lanner.execution.kubernetes_manifests import CHECK, METHOD, STAGE
from lanner.pod_steps import CLAIMED_CODE
from lanner.records import Limits, printable
from lanner.runners.outcome import SENTENCES, Ending, classify, start_failure

NO_IMAGE = frozenset({"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
"""Where a container waits for these, waiting longer does not help (ErrImagePull may be a moment's)."""
NO_START = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
OOM_KILLED = "OOMKilled"
DEADLINE = "DeadlineExceeded"
ENDED = (137, 143)
"""A container's exit codes where its node ended it, by SIGKILL and SIGTERM."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How it ended. ``error_class`` None: the method did its part, what ``check`` found decides.

    ``is_ours``: the harness's own step failed, whose outcome.json says why. ``is_stuck``: the pod still
    waits, and would for ever. ``seconds`` the method ran, by its node's clock.
    """

    error_class: ErrorClass | None
    message: str
    is_ours: bool = False
    is_stuck: bool = False
    exit_code: int | None = None
    seconds: float | None = None


def verdict(
    job: Mapping[str, Any] | None,
    pod: Mapping[str, Any] | None,
    limits: Limits,
    last_line: str = "",
    now: datetime | None = None,
) -> Verdict | None:
    """None while it waits or works. ``job`` and ``pod`` are the API's objects, None where there is none.

    ``last_line`` is the last line of the method's log, which says why where it ended with a code of its own.
    ``now`` [the clock's] counts where nobody says when a deadline was.
    """
    ended = next(iter(_conditions(job, "Failed", "FailureTarget")), None)
    if pod is None:
        return _without_pod(job, ended)
    status = pod.get("status", {})
    late = _past_deadline(job, pod, limits, now or datetime.now(UTC))
    by_job = late if ended is not None and ended.get("reason") == DEADLINE else None
    if status.get("reason") == DEADLINE:
        found: Verdict | None = late
    else:
        found = _of_the_pod(pod, limits, last_line, by_job) or by_job
    seconds = _seconds(_state(pod, METHOD))
    if found is None and ended is not None:
        found = _lost(f"its Job failed: {_said(ended)}")
    if found is None and job is None:
        found = _lost("its Job was deleted by somebody else")
    if found is None and status.get("phase") == "Failed":
        found = _lost(f"its pod failed: {_said(status) or 'no reason given'}")
    return None if found is None else replace(found, seconds=seconds)


def newest(pods: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The pod that counts of a Job's: the last, but never one whose ``stage`` came second to another's."""
    counting = [pod for pod in pods if _exit_code(_state(pod, STAGE)) != CLAIMED_CODE] or pods
    return max(counting, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)


def is_running(pod: Mapping[str, Any] | None) -> bool:
    """Whether a node is at work on it, as far as the API server knows."""
    if pod is None or pod["metadata"].get("deletionTimestamp"):
        return False
    return any("running" in state for _, state in _states(pod))


def image_id(pod: Mapping[str, Any] | None) -> str | None:
    """What the node says the method's image is."""
    for item in (pod or {}).get("status", {}).get("initContainerStatuses", ()):
        if item["name"] == METHOD:
            return item.get("imageID") or None
    return None


def _of_the_pod(
    pod: Mapping[str, Any], limits: Limits, last_line: str, late: Verdict | None
) -> Verdict | None:
    """``late``: the Job's time was up, so that its containers' codes are those of being ended."""
    status = pod.get("status", {})
    reason, message = status.get("reason", ""), str(status.get("message", ""))
    if reason == "Evicted" and 'volume "output"' in message:
        return _plain(ErrorClass.OUTPUT_TOO_LARGE)
    disrupted = next(iter(_conditions(pod, "DisruptionTarget")), None)
    gone = status.get("phase") == "Failed" or pod["metadata"].get("deletionTimestamp")
    if disrupted is not None and gone:
        return _lost(f"its pod was taken from node {_node(pod)}: {_said(disrupted)}")
    if status.get("phase") == "Failed" and reason:
        return _lost(f"its pod failed on node {_node(pod)}: {_said(status)}")
    if status.get("phase") == "Failed" and late is not None:
        return late
    if status.get("phase") in ("Failed", "Succeeded"):
        return _of_the_containers(pod, limits, last_line)
    return _stuck(pod)


def _of_the_containers(pod: Mapping[str, Any], limits: Limits, last_line: str) -> Verdict | None:
    """Of a pod that has ended, the first container that did not end well; or the method's success."""
    staged, method, checked = (_state(pod, name).get("terminated") for name in (STAGE, METHOD, CHECK))
    if staged is not None and staged.get("exitCode") != 0:
        return Verdict(
            error_class=ErrorClass.LOST, message=f"its input was not staged: {_ended(staged)}", is_ours=True
        )
    if method is None:
        return None
    code = method.get("exitCode")
    if (_seconds({"terminated": method}) or 0) > limits.timeout_s:
        return replace(_plain(ErrorClass.TIMEOUT), exit_code=code)
    if code in ENDED and method.get("reason") != OOM_KILLED and pod["metadata"].get("deletionTimestamp"):
        return _lost(f"its pod was deleted from node {_node(pod)} by somebody else")
    if code != 0:
        started = method.get("reason") not in ("StartError", "ContainerCannotRun")
        error_class, sentence = classify(
            Ending(
                exit_code=code if started else None,
                started=started,
                oom_flag=method.get("reason") == OOM_KILLED,
                engine_error="" if started else str(method.get("message", "")),
                stderr_line=last_line,
            )
        )
        return Verdict(error_class=error_class, message=sentence, exit_code=code)
    if checked is not None and checked.get("exitCode") == 0:
        return Verdict(error_class=None, message="", exit_code=0)
    words = f"its prediction was not checked: {_ended(checked)}"
    return Verdict(error_class=ErrorClass.LOST, message=words, is_ours=True, exit_code=code)


def _stuck(pod: Mapping[str, Any]) -> Verdict | None:
    for name, state in _states(pod):
        waiting = state.get("waiting", {})
        reason, message = waiting.get("reason", ""), printable(str(waiting.get("message", "")))[:300]
        if reason in NO_IMAGE:
            sentence = f"{SENTENCES[ErrorClass.PULL_ERROR]} ({name}, {reason}): {message}"
            return Verdict(error_class=ErrorClass.PULL_ERROR, message=sentence, is_stuck=True)
        if reason in NO_START:
            kind = start_failure(message) if name == METHOD else ErrorClass.PLATFORM_ERROR
            sentence = f"{SENTENCES[kind]} ({name}, {reason}): {message}"
            return Verdict(error_class=kind, message=sentence, is_stuck=True)
    return None


def _past_deadline(
    job: Mapping[str, Any] | None, pod: Mapping[str, Any], limits: Limits, now: datetime
) -> Verdict:
    """The pod's time is up: the method's own fault only where it had all of the time it was granted.

    A container that ran until then may be told of as running for ever, and one that was ended had seconds
    of grace: what counts is what it had before the deadline.
    """
    state = _state(pod, METHOD)
    times: Mapping[str, str] = next(iter(state.values()), {})
    began, ended = (_time(times.get(name)) for name in ("startedAt", "finishedAt"))
    until = min([each for each in (ended, _deadline(job, pod)) if each is not None], default=now)
    if began is not None and (until - began).total_seconds() >= limits.timeout_s:
        return _plain(ErrorClass.TIMEOUT)
    if "terminated" in state and state["terminated"].get("exitCode") == 0:
        words = "its pod's time was over before its prediction was checked"
    else:
        words = "its pod's time was over before the method had had its own"
    return Verdict(
        error_class=ErrorClass.PLATFORM_ERROR,
        message=f"{words} ({_waits_for(pod)}); raise time_overhead_s in --engine-config",
    )


def _deadline(job: Mapping[str, Any] | None, pod: Mapping[str, Any]) -> datetime | None:
    """When the time of the pod, or of its Job, was up; None where nobody says."""
    failed = [each for each in _conditions(job, "Failed", "FailureTarget") if each.get("reason") == DEADLINE]
    times = [_time(each.get("lastTransitionTime")) for each in failed]
    status, granted = pod.get("status", {}), pod.get("spec", {}).get("activeDeadlineSeconds")
    taken = _time(status.get("startTime"))
    if status.get("reason") == DEADLINE and taken is not None and granted is not None:
        times.append(taken + timedelta(seconds=granted))
    return min([each for each in times if each is not None], default=None)


def _without_pod(job: Mapping[str, Any] | None, ended: Mapping[str, Any] | None) -> Verdict | None:
    if job is None:
        return _lost("its Job was deleted by somebody else")
    if ended is not None and ended.get("reason") == DEADLINE:
        return Verdict(
            error_class=ErrorClass.PLATFORM_ERROR,
            message="no node took its pod in time; lower its limits, raise queue_s in --engine-config, or "
            "see `kubectl describe job`",
        )
    if ended is not None:
        return _lost(f"its pod is gone: {_said(ended)}")
    if _conditions(job, "Complete"):
        return Verdict(error_class=None, message="", exit_code=0)
    return None


def _plain(kind: ErrorClass) -> Verdict:
    return Verdict(error_class=kind, message=SENTENCES[kind])


def _lost(words: str) -> Verdict:
    return Verdict(error_class=ErrorClass.LOST, message=f"{SENTENCES[ErrorClass.LOST]}: {words}")


def _states(pod: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    status = pod.get("status", {})
    for item in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        yield item["name"], item.get("state", {})


def _state(pod: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((state for found, state in _states(pod) if found == name), {})


def _exit_code(state: Mapping[str, Any]) -> int | None:
    code = state.get("terminated", {}).get("exitCode")
    return None if code is None else int(code)


def _seconds(state: Mapping[str, Any]) -> float | None:
    """How long a container that has ended ran, to the second that Kubernetes keeps."""
    ended = state.get("terminated", {})
    first, last = (_time(ended.get(name)) for name in ("startedAt", "finishedAt"))
    return None if first is None or last is None else (last - first).total_seconds()


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _conditions(item: Mapping[str, Any] | None, *kinds: str) -> list[Mapping[str, Any]]:
    found = (item or {}).get("status", {}).get("conditions") or ()
    return [each for each in found if each.get("type") in kinds and each.get("status") == "True"]


def _waits_for(pod: Mapping[str, Any]) -> str:
    """What its containers were at when it ended, for people."""
    words = [f"{name} {next(iter(state), 'unknown')}" for name, state in _states(pod)]
    return ", ".join(words) or "no container was started"


def _ended(state: Mapping[str, Any] | None) -> str:
    if state is None:
        return "the container never ran"
    reason = state.get("reason", "Error")
    return f"{reason} with exit code {state.get('exitCode')}"


def _said(item: Mapping[str, Any]) -> str:
    parts = (str(item.get(name) or "") for name in ("reason", "message"))
    return printable(": ".join(part for part in parts if part))[:300]


def _node(pod: Mapping[str, Any]) -> str:
    return str(pod.get("spec", {}).get("nodeName") or "(none)")
