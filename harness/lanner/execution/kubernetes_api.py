"""The talk with a Kubernetes API server, by the official client: our Jobs, their pods, the NetworkPolicy.

Objects go in and come out as the API's own JSON. Every failure is one sentence.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from lanner.errors import InfrastructureError
from lanner.execution.kubernetes_manifests import METHOD, POLICY_NAME, Site, labels, network_policy
from lanner.runners.policy import LOG_BYTES

REQUEST_SECONDS = 30
LOG_LINES = 10_000
NAMESPACE = "lanner"


class AbsentError(InfrastructureError):
    """The API server has no such object."""


class _UnreadableError(Exception):
    """An answer is cut off, or of somebody between the API server and us."""


def _listing(answer: Any) -> dict[str, Any]:
    """The list an answer holds, as JSON."""
    data = answer.data
    try:
        found = json.loads(data)
    except ValueError:
        raise _UnreadableError from None
    if not isinstance(found, dict) or not isinstance(found.get("items"), list):
        raise _UnreadableError
    return found


class Cluster:
    """One namespace of a cluster, and in it the objects of one LANNER_HOME."""

    def __init__(self, site: Site) -> None:
        """Find the cluster: a pod's own service account, else the kubeconfig; InfrastructureError."""
        try:
            config = importlib.import_module("kubernetes.config")
        except ImportError:
            raise InfrastructureError(
                "the engine kubernetes needs the official client; install it with: "
                "pip install 'lanner[kubernetes]'"
            ) from None
        client = importlib.import_module("kubernetes.client")
        context = site.options.get("context")
        try:
            if "KUBERNETES_SERVICE_HOST" in os.environ and context is None:
                config.load_incluster_config()
                api = client.ApiClient()
            else:
                api = config.new_client_from_config(config_file=os.environ.get("KUBECONFIG"), context=context)
        except config.ConfigException as error:
            raise InfrastructureError(
                f"no cluster is configured ({error}); set KUBECONFIG, or context in --engine-config"
            ) from None
        self._site = site
        self._refused: type[Exception] = client.ApiException
        self._batch, self._core = client.BatchV1Api(api), client.CoreV1Api(api)
        self._network = client.NetworkingV1Api(api)
        self._namespace = site.options.get("namespace", NAMESPACE)

    def see_to_the_policy(self) -> None:
        """Make the NetworkPolicy what it should be."""
        policy = network_policy()
        try:
            self._ask(self._network.replace_namespaced_network_policy, POLICY_NAME, self._namespace, policy)
        except AbsentError:
            self._ask(self._network.create_namespaced_network_policy, self._namespace, policy)

    def create(self, job: Mapping[str, Any]) -> None:
        """Create a Job; the server refuses fields that it does not know."""
        self._ask(self._batch.create_namespaced_job, self._namespace, body=job, field_validation="Strict")

    def listed(self, key: str | None = None) -> tuple[dict[str, Any], dict[str, list[Any]]]:
        """Our Jobs, and the pods of each, by the Job's name; only those of the run ``key`` where given."""
        chosen = {name: value for name, value in labels(self._site, key or "").items() if value}
        selector = ",".join(f"{name}={value}" for name, value in chosen.items())
        jobs, found = (
            self._ask(call, self._namespace, label_selector=selector, _preload_content=False, read=_listing)
            for call in (self._batch.list_namespaced_job, self._core.list_namespaced_pod)
        )
        pods: dict[str, list[Any]] = {}
        for pod in found["items"]:
            marks = pod["metadata"]["labels"]
            pods.setdefault(marks.get("batch.kubernetes.io/job-name") or marks["job-name"], []).append(pod)
        return {item["metadata"]["name"]: item for item in jobs["items"]}, pods

    def log(self, pod: Mapping[str, Any]) -> bytes:
        """The end of what the method wrote, both of its streams; empty where there is nothing to be had."""
        with suppress(InfrastructureError):
            log: bytes = self._ask(
                self._core.read_namespaced_pod_log,
                pod["metadata"]["name"],
                self._namespace,
                container=METHOD,
                tail_lines=LOG_LINES,
                limit_bytes=LOG_BYTES,
                _preload_content=False,
                read=lambda answer: bytes(answer.data)[:LOG_BYTES],
            )
            return log
        return b""

    def delete(self, name: str) -> None:
        """Delete a Job with its pod; nothing where there is none."""
        with suppress(AbsentError):
            self._ask(
                self._batch.delete_namespaced_job,
                name,
                self._namespace,
                propagation_policy="Background",
                grace_period_seconds=0,
            )

    def _ask(
        self,
        call: Callable[..., Any],
        *arguments: Any,
        read: Callable[[Any], Any] = lambda answer: answer,
        **options: Any,
    ) -> Any:
        """Call the client; InfrastructureError with the server's own sentence where it refuses.

        ``read`` takes what is wanted from the answer; where the connection is cut in its middle, that fails.
        """
        http = importlib.import_module("urllib3.exceptions")
        try:
            return read(call(*arguments, _request_timeout=REQUEST_SECONDS, **options))
        except self._refused as error:
            status, body = getattr(error, "status", None), getattr(error, "body", None)
            said = str(getattr(error, "reason", ""))
            with suppress(ValueError, TypeError, AttributeError):
                said = json.loads(body or "")["message"]
            kind = AbsentError if status == 404 else InfrastructureError
            raise kind(f"the Kubernetes API server refused ({status}): {said[:300]}") from None
        except _UnreadableError:
            raise InfrastructureError(
                "the Kubernetes API server answers, but with no whole list of objects; see `kubectl version`"
            ) from None
        except ValueError as error:  # newer clients check what they send
            said = " ".join(str(error).split())[:300]
            raise InfrastructureError(f"the Kubernetes client refuses what it should send: {said}") from None
        except (http.HTTPError, OSError) as error:
            raise InfrastructureError(
                f"the Kubernetes API server does not answer ({type(error).__name__}); see `kubectl version`"
            ) from None
