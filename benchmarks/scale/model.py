"""The queue as a discrete-event model: one harness, an engine, workers, and a store that all of them ask.

A run takes a place among those in flight, then the harness's one interpreter to be placed, then a worker;
its end is seen at the next poll, and it is scored in the harness's main thread or by a worker again. Polls
are not simulated one by one: those of all attempts in flight take a share of the interpreter, and slow down
by that share what else it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

from benchmarks.scale.costs import Costs, Design, lower_bound

SATURATED = 0.98
"""Most of the interpreter that polls are let take: beyond it nothing else would ever be done."""


@dataclass
class _Load:
    """What the harness and the store were asked for."""

    busy: float = 0.0
    scoring: float = 0.0
    polled: float = 0.0
    in_flight: int = 0
    attempt_seconds: float = 0.0
    operations: float = 0.0
    since: float = 0.0
    saturated: float = 0.0
    ends: list[float] = field(default_factory=list)


def simulate(
    methods: Sequence[float], workers: int, design: Design, costs: Costs, *, seed: int = 0
) -> dict[str, Any]:
    """Run ``methods``, seconds of each in the order they are placed, on so many workers.

    Returns makespan and lower_bound (of the work itself: runs, and scorings where they are placed) in
    seconds, ratio of the two, harness_load (share of its interpreter), saturated_share (of the time, polls
    took all of it), scoring_load (share of the main thread), store_operations and store_per_second, and
    last_run (when the last run, unscored, had ended).
    """
    env = simpy.Environment()
    random = np.random.default_rng(seed)
    interpreter, main = simpy.Resource(env, 1), simpy.Resource(env, 1)
    room, pool = simpy.Resource(env, min(design.in_flight, len(methods))), simpy.Resource(env, workers)
    load = _Load()

    def flight(change: int) -> None:
        """Charge polls and status reads for the time since the last change."""
        passed = env.now - load.since
        share = min(load.in_flight * costs.poll / design.poll_seconds, SATURATED)
        load.polled += passed * share
        load.saturated += passed if share == SATURATED else 0.0
        load.operations += passed * load.in_flight * costs.poll_operations / design.status_seconds
        load.since, load.in_flight = env.now, load.in_flight + change

    def harness(seconds: float) -> Iterator[Any]:
        with interpreter.request() as turn:
            yield turn
            share = min(load.in_flight * costs.poll / design.poll_seconds, SATURATED)
            load.busy += seconds
            yield env.timeout(seconds / (1 - share))

    def work(seconds: float) -> Iterator[Any]:
        with pool.request() as worker:
            yield worker
            yield env.timeout(design.lag + seconds)
            load.operations += seconds / costs.beat_seconds

    def run(method: float) -> Iterator[Any]:
        with room.request() as place:
            yield place
            yield from harness(costs.place)
            flight(+1)
            yield from work(costs.before + method + costs.after)
            yield env.timeout(random.uniform(0, design.poll_seconds))
            flight(-1)
            yield from harness(costs.record)
        load.operations += costs.run_operations
        load.ends.append(env.now)
        if design.scoring == "here":
            with main.request() as turn:
                yield turn
                load.scoring += costs.score
                yield env.timeout(costs.score)
        else:
            yield from harness(costs.place)
            yield from work(costs.score_start + costs.score)
            yield from harness(costs.record)

    def begin() -> Iterator[Any]:
        yield env.timeout(len(methods) * costs.name)
        load.since = env.now
        yield simpy.AllOf(env, [env.process(run(method)) for method in methods])

    env.run(env.process(begin()))
    makespan = float(env.now)
    placed = costs.score_start + costs.score if design.scoring == "placed" else 0.0
    bound = lower_bound([costs.before + each + costs.after + placed for each in methods], workers)
    return {
        "design": design.name,
        "runs": len(methods),
        "workers": workers,
        "makespan": makespan,
        "lower_bound": bound,
        "ratio": makespan / bound,
        "harness_load": (load.busy + load.polled) / makespan,
        "saturated_share": load.saturated / makespan,
        "scoring_load": load.scoring / makespan,
        "last_run": max(load.ends),
        "store_operations": load.operations,
        "store_per_second": load.operations / makespan,
    }


def local(methods: Sequence[float], workers: int, cores: int, costs: Costs, cpu: float) -> float:
    """Makespan of runs on one machine, of which each computes ``cpu`` seconds around a method that sleeps.

    ``costs.before`` and ``after`` are by the wall on an idle machine; of their sum ``cpu`` seconds need a
    core, in slices, and there are ``cores`` of them: what the check against real runs has to tell.
    """
    env = simpy.Environment()
    machine, pool = simpy.Resource(env, cores), simpy.Resource(env, workers)
    around = costs.before + costs.after
    slice_seconds = 0.05

    def compute(seconds: float) -> Iterator[Any]:
        while seconds > 1e-9:
            with machine.request() as core:
                yield core
                step = min(slice_seconds, seconds)
                yield env.timeout(step)
                seconds -= step

    def run(method: float) -> Iterator[Any]:
        with pool.request() as worker:
            yield worker
            yield from compute(cpu * costs.before / around)
            yield env.timeout(method + max(around - cpu, 0.0))
            yield from compute(cpu * costs.after / around)

    env.run(simpy.AllOf(env, [env.process(run(method)) for method in methods]))
    return float(env.now)
