"""What the runs of ``method check`` show of a method: one sentence each, with what to do where it failed."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lanner.errors import ErrorClass
from lanner.method_check.trials import Tried, n_requests
from lanner.methods import Method
from lanner.records import State
from lanner.registry import unknown_name
from lanner.tasks import TASKS, Question

CPU_MARGIN = 1.25
"""Processor time per second and granted CPU above which threads were not limited."""
MIN_SECONDS = 1.0
"""Shorter runs tell nothing of threads."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report: ``outcome`` is passed, failed or information; ``log`` the text to look at.

    ``task`` and ``question`` name what was asked, where it was one question: ``method shell`` takes them.
    """

    check: str
    outcome: str
    detail: str
    log: str = ""
    task: str = ""
    question: str = ""

    def to_json(self) -> dict[str, str]:
        """For ``--json``."""
        return asdict(self)


def unknown_task(name: str) -> Finding:
    """A task of the manifest that nobody will ask the method."""
    return Finding(
        check="tasks", outcome="failed", detail=f"{unknown_name('task', name, TASKS)}; correct tasks"
    )


def answered(question: Question, tried: Tried) -> Finding:
    """Whether a question was answered as the contract asks; a method may decline."""
    record = tried.record
    if record["state"] == State.SUCCEEDED:
        outcome, what = _prediction(tried)
        return Finding(check=question.name, outcome=outcome, detail=f"{question.says}: {what}", log=tried.log)
    if record["error_class"] == ErrorClass.NOT_APPLICABLE:
        detail = f"{question.says}: declined ({record['message']})"
        return Finding(check=question.name, outcome="information", detail=detail, log=tried.log)
    detail = f"{question.says}: {record['error_class']}: {record['message']}"
    if record["error_class"] == ErrorClass.TIMEOUT:
        detail += "; for a method that trains long, raise --timeout or lower a parameter by --parameter"
    return Finding(check=question.name, outcome="failed", detail=detail, log=tried.log)


def _prediction(tried: Tried) -> tuple[str, str]:
    """Outcome and description of what intake has accepted."""
    prediction = tried.record["prediction"]
    if "n_edges" in prediction:
        n = prediction["n_edges"]
        return "passed", f"a network of {n} edges" + ("" if n else ", which scores as one that knows nothing")
    n = n_requests(tried)
    k = n - len(tried.record["unanswered"])
    return "passed" if k else "failed", f"{prediction['kind']}, {k} of {n} requests answered"


def sandboxed(runner: str) -> Finding:
    """What the runs above show beyond their answers, by the runner that did them."""
    if runner == "docker":
        detail = "all of it without a network, as an unprivileged user, on a root that nobody can write to"
        return Finding(check="sandbox", outcome="passed", detail=detail)
    detail = "plain processes show nothing of this; run the check with Docker before you submit"
    return Finding(check="sandbox", outcome="information", detail=detail)


def repeatable(first: Tried, again: Tried) -> Finding:
    """Whether one seed gives one set of numbers."""
    if again.digest == first.digest:
        return Finding(check="repeatable", outcome="passed", detail="the same seed gave the same numbers")
    detail = (
        "the same seed gave other numbers; seed every generator with LANNER_SEED and sort what is unordered"
    )
    return Finding(check="repeatable", outcome="failed", detail=detail, log=again.log)


def seeded(method: Method, first: Tried, other: Tried) -> Finding:
    """Whether the seed matters as the manifest says."""
    same = other.digest == first.digest
    if method.deterministic and not same:
        detail = "method.yaml says deterministic: true, but another seed gave other numbers; say false"
        return Finding(check="seed", outcome="failed", detail=detail, log=other.log)
    if same and not method.deterministic:
        detail = "another seed gave the same numbers; deterministic: true in method.yaml would save runs"
        return Finding(check="seed", outcome="information", detail=detail)
    detail = (
        "does not depend on the seed, as declared" if same else "another seed gave other numbers, as declared"
    )
    return Finding(check="seed", outcome="passed", detail=detail)


def threads(first: Tried, granted: float) -> Finding:
    """Whether the CPUs that were granted were enough."""
    cpu, wall = first.resources.get("cpu_seconds"), first.resources.get("wall_seconds")
    if not cpu or not wall or wall < MIN_SECONDS:
        return Finding(check="cpus", outcome="information", detail="the run was too short to tell")
    used = cpu / wall
    outcome = "passed" if used <= granted * CPU_MARGIN else "failed"
    fix = "" if outcome == "passed" else "; limit threads to LANNER_CPUS"
    return Finding(check="cpus", outcome=outcome, detail=f"{used:.2f} used, {granted:g} granted{fix}")


def cost(first: Tried) -> Finding:
    """What one run took."""
    shown = [
        f"{label} {first.resources[name]:.4g} {unit}"
        for name, label, unit in (
            ("wall_seconds", "wall", "s"),
            ("cpu_seconds", "CPU", "s"),
            ("peak_memory_mb", "memory", "MB"),
        )
        if first.resources.get(name) is not None
    ]
    return Finding(check="cost", outcome="information", detail=", ".join(shown) or "not measured")
