"""``kubernetes``: one Job per run, its method in a container of the cluster's own, beside no harness.

What a Job is made of is in ``kubernetes_manifests``, how its end is told in ``kubernetes_endings``; this is
the talk with the API server, through the official client. Pods only write facts below LANNER_HOME, which a
claim brings to them; the one terminal record of a run is written here. Not run on a real cluster yet.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Self

from lanner import methods, pipeline, pod_steps
from lanner.config import Settings
from lanner.errors import ConfigurationError, ErrorClass, InfrastructureError
from lanner.execution.engine import ENGINES, read_configuration
from lanner.execution.kubernetes_api import Cluster
from lanner.execution.kubernetes_endings import Verdict, image_id, is_running, newest, verdict
from lanner.execution.kubernetes_images import declared, image_of
from lanner.execution.kubernetes_manifests import Site, job, network_policy
from lanner.execution.local import LocalEngine, LocalProcess
from lanner.intake import remove_folder
from lanner.pipeline import Plan
from lanner.records import Limits, State
from lanner.runners.outcome import last_line
from lanner.runners.policy import sandbox_user
from lanner.store import Status, read_json, write_json

NEEDED = {"image": "image (of the harness)", "claim": "claim (of LANNER_HOME)"}
ASK_SECONDS = 2.0
"""At most so often the API server is asked, for all runs at once."""
PATIENCE_SECONDS = 60.0
"""How long an earlier Job may take to go, and a pod's last file to arrive through the claim."""


class KubernetesEngine:
    """Creates Jobs, and follows all of them by one listing of Jobs and one of pods."""

    id: ClassVar[str] = "kubernetes"
    has_own_containers: ClassVar[bool] = True
    outlives_harness: ClassVar[bool] = True
    poll_seconds = 0.5
    in_flight = 1000

    def __init__(self, settings: Settings, site: Site, cluster: Cluster, *, jobs: int) -> None:
        """``jobs`` bounds what is done on this machine: runs that start no program."""
        self.settings, self.site, self.cluster = settings, site, cluster
        self._beside = LocalEngine(settings, jobs)
        self._listed: tuple[dict[str, Any], dict[str, list[Any]]] | None = None
        self._asked = -math.inf
        self._asking = threading.Lock()

    @classmethod
    def open(cls, settings: Settings, *, jobs: int, configuration: Mapping[str, Any]) -> Self:
        """Reach the API server, and see to the NetworkPolicy before any pod of ours exists."""
        site = site_of(settings, configuration)
        cluster = Cluster(site)
        cluster.see_to_the_policy()
        return cls(settings, site, cluster, jobs=jobs)

    def submit(
        self, attempt: Path, limits: Limits, is_cancelled: Callable[[], bool]
    ) -> KubernetesJob | LocalProcess:
        """Create the attempt's Job, after any Job of an earlier attempt is gone.

        A run that starts no program (stored predictions) is done here.
        """
        spec = read_json(attempt / "spec.json")
        if spec["keyed"]["runner"] != "docker":
            return self._beside.submit(attempt, limits, is_cancelled)
        document = manifest(self.settings, self.site, spec, attempt, limits)
        self._hand_over(attempt)
        self._remove_earlier(spec["key"])
        self.cluster.create(document)
        return KubernetesJob(self, document["metadata"]["name"], attempt, limits)

    def adopt(self, ticket: str) -> KubernetesJob | None:
        """A Job that another process created; the ticket holds its name and its attempt's folder."""
        name, _, folder = ticket.partition(" ")
        if not folder:
            return None
        attempt = self.site.home / folder
        spec = read_json(attempt / "spec.json")
        return KubernetesJob(self, name, attempt, Limits(**spec["keyed"]["limits"]))

    def close(self) -> None:
        """Jobs live on without us."""

    def look(self, name: str, *, afresh: bool = False) -> tuple[Any, Any] | None:
        """The Job ``name`` and its pod, each None where there is none; None where nobody answers."""
        with self._asking:
            if afresh or time.monotonic() - self._asked > ASK_SECONDS:
                try:
                    self._listed = self.cluster.listed()
                except InfrastructureError:
                    self._listed = None  # an API server that restarts: its pods go on
                self._asked = time.monotonic()
            if self._listed is None:
                return None
            jobs, pods = self._listed
            return jobs.get(name), newest(pods.get(name, []))

    def _remove_earlier(self, key: str) -> None:
        """Of the run ``key``, whose lock is held: what a killed harness left would else work beside us."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := self.cluster.listed(key)) != ({}, {}):
            for name in found[0]:
                self.cluster.delete(name)
            if time.monotonic() > deadline:
                raise InfrastructureError(
                    f"an earlier pod of this run does not go ({', '.join([*found[0], *found[1]])}); "
                    "see `kubectl describe pod`, and delete it"
                )
            time.sleep(self.poll_seconds)

    def _hand_over(self, attempt: Path) -> None:
        """Where we are root, the pod's user must be able to write where the attempt's facts go."""
        if os.geteuid() == 0:
            for folder in (attempt.parent, attempt):
                try:
                    os.chown(folder, *self.site.user)
                except OSError as error:
                    raise InfrastructureError(
                        f"{folder} cannot be given to uid {self.site.user[0]} of its pod ({error.strerror}); "
                        "run this as that user, as a share may let root do nothing"
                    ) from None


class KubernetesJob:
    """One attempt as a Job."""

    def __init__(self, engine: KubernetesEngine, name: str, attempt: Path, limits: Limits) -> None:
        self._engine, self._name = engine, name
        self._attempt, self._limits = attempt.resolve(), limits
        self._waits_since: float | None = None
        self._is_over = self._is_cancelled = self._is_deleted = False
        self.ticket = f"{name} {self._attempt.relative_to(engine.site.home)}"

    def poll(self) -> str | None:
        """Once the Job is over, write what it left of a record, and say so."""
        if self._is_over:
            return ""
        if self._is_cancelled and not self._delete() and self._has_waited():
            self._is_over = True
            return "the Job could not be deleted, as the API server does not; see `kubectl get jobs`"
        seen = self._engine.look(self._name)
        if seen is None:
            return None
        if verdict(*seen, self._limits) is not None:
            seen = self._engine.look(self._name, afresh=True)  # not a listing from before it was made
        found = None if seen is None else verdict(*seen, self._limits)
        if seen is None or found is None:
            self._beat(seen)
            return None
        if self._is_cancelled:
            self._is_over = seen == (None, None) or self._has_waited()
            return "the Job was deleted" if self._is_over else None
        return self._ended(found, *seen)

    def cancel(self) -> None:
        """Delete the Job; its containers get SIGTERM and then no time. ``poll`` tries again what fails."""
        self._is_cancelled = True
        self._delete()

    def _delete(self) -> bool:
        """Delete the Job, once; False where the API server does not answer, or refuses."""
        if not self._is_deleted:
            with suppress(InfrastructureError):
                self._engine.cluster.delete(self._name)
                self._is_deleted = True
        return self._is_deleted

    def _beat(self, seen: tuple[Any, Any] | None) -> None:
        """Renew the attempt's lease for its pod, which cannot while the method runs."""
        status = Status(self._attempt)
        if seen is not None and is_running(seen[1]) and status.path.is_file():
            with suppress(OSError):
                status.beat()

    def _ended(self, found: Verdict, job: Any, pod: Any) -> str | None:
        outcome = pod_steps.outcome(self._attempt)
        lost = found.error_class is ErrorClass.LOST  # what `check` found before that still stands
        checked = found.error_class is None or found.is_ours or (lost and outcome is not None)
        if checked and outcome is None and not self._has_waited():
            return None  # a shared disk may show a file late
        if pod is not None:
            self._keep_log(pod)
            found = verdict(job, pod, self._limits, last_line(self._attempt / "stdout.log")) or found
        if (found.is_stuck or lost) and not self._delete() and not self._has_waited():
            return None  # else a next attempt sees to it that this one's is gone
        spec = read_json(self._attempt / "spec.json")
        record = outcome if checked and outcome is not None else _record(found)
        if record["state"] != State.SUCCEEDED:
            (self._attempt / "prediction.h5ad").unlink(missing_ok=True)
        self._keep_cost(found, pod)
        remove_folder(self._attempt.parent / "tmp")
        pipeline.finish(self._attempt, spec, record)
        self._is_over = True
        return ""

    def _has_waited(self) -> bool:
        if self._waits_since is None:
            self._waits_since = time.monotonic()
        return time.monotonic() - self._waits_since > PATIENCE_SECONDS

    def _keep_log(self, pod: Mapping[str, Any]) -> None:
        """Kubernetes keeps one log of both streams: it is stdout.log."""
        (self._attempt / "stdout.log").write_bytes(self._engine.cluster.log(pod))
        (self._attempt / "stderr.log").touch()

    def _keep_cost(self, found: Verdict, pod: Mapping[str, Any] | None) -> None:
        path = self._attempt / "resources.json"
        cost = {
            "wall_seconds": found.seconds or 0.0,
            "cpu_seconds": None,
            "peak_memory_mb": None,
            "peak_gpu_memory_mb": None,
            "peak_gpu_memory_unknown": "Kubernetes does not say",
            "runner": "docker",
            "engine_name": "kubernetes",
            "image_id": image_id(pod),
            "node": (pod or {}).get("spec", {}).get("nodeName"),
        }
        write_json(path, {**cost, **(read_json(path) or {})})


def manifest(
    settings: Settings, site: Site, spec: Mapping[str, Any], attempt: Path, limits: Limits
) -> dict[str, Any]:
    """The Job of a run's attempt; InfrastructureError for a method that no cluster could pull, or start as
    Docker would."""
    method = methods.find(settings, spec["method"]["source"])
    if method.identity != spec["keyed"]["method"]["identity"]:
        raise InfrastructureError(f"method {method.name} has changed since this run was planned; build again")
    return job(
        site,
        key=spec["key"],
        attempt=attempt.resolve(),
        image=image_of(method, site.options.get("registry")),
        declared=declared(method, site.options.get("working_dirs", {})),
        command=method.command,
        environment=pipeline.contract_environment(spec["keyed"]["seed"], limits),
        limits=limits,
    )


def render(plans: Iterable[Plan], settings: Settings, file: Path) -> Iterator[dict[str, Any]]:
    """What a build would create for runs in containers: the NetworkPolicy, then the next Job of each.

    ``file`` is that of --engine-config. No cluster is asked, and no attempt is made.
    """
    site = site_of(settings, read_configuration(KubernetesEngine.id, file))
    yield network_policy()
    for plan in plans:
        if plan.spec["keyed"]["runner"] == "docker":
            attempt = plan.folder.path / f"attempt-{len(plan.folder.attempts()) + 1}"
            limits = Limits(**plan.spec["keyed"]["limits"])
            yield manifest(settings, site, plan.spec, attempt, limits)


def site_of(settings: Settings, configuration: Mapping[str, Any]) -> Site:
    """Where LANNER_HOME is and who pods run as; ConfigurationError without the file, or as root."""
    missing = [what for name, what in NEEDED.items() if name not in configuration]
    if missing:
        raise ConfigurationError(f"the engine kubernetes needs --engine-config with {' and '.join(missing)}")
    named = configuration.get("user")
    if named is None and os.geteuid() == 0:
        raise ConfigurationError(
            "pods never run as root, and you are; state user in --engine-config, or be another user"
        )
    user = (named, named) if named is not None else sandbox_user()
    return Site(home=settings.home.resolve(), user=user, options=configuration)


def _record(found: Verdict) -> dict[str, Any]:
    if found.error_class is None:  # `check` ended well, and what it found never arrived
        words = "its pod ended well, but no outcome.json came through the claim"
        return pipeline.ended(State.FAILED, ErrorClass.LOST, words)
    skipped = found.error_class is ErrorClass.NOT_APPLICABLE
    return pipeline.ended(State.SKIPPED if skipped else State.FAILED, found.error_class, found.message)


ENGINES.add(KubernetesEngine.id, KubernetesEngine)
