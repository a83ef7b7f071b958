"""A whole training run: from a canonical graph to the weights that are written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cimc.backends.machine.facts import machine
from cimc.backends.noise.sources import Noise
from cimc.backends.silicon.device_moments import moments
from cimc.driving.driver import Request
from cimc.ir.attributes import int_values
from cimc.ir.graph import Graph
from cimc.passes.calibrate import ranges_read
from cimc.passes.ranges import Ranges
from cimc.training import checkpoint
from cimc.training.array_facts import ArrayFacts, measured
from cimc.training.batches import Data, split
from cimc.training.chip import DeviceTable
from cimc.training.equalise import Equaliser, equalised
from cimc.training.judging import Candidate, Judge, Verdict, chosen
from cimc.training.learnt import Learning, Parameters, real
from cimc.training.network import Network, Weights
from cimc.training.optimise import Run, State
from cimc.training.pruning import pruned
from cimc.training.settings import Settings

AT_ONCE = 256
"""Samples that the teacher is asked about at a time."""
MEASURED = 256
"""Samples that the compiler measures ranges on, at most: again and again while training."""
NONE = Ranges()


@dataclass(frozen=True)
class Plan:
    """What to train: a graph at stage `graph`, the request that compiles it, data, settings, and the chips aimed at.

    `bound` is the share of samples that training may cost without noise, on data kept back. `kept` is where the state
    is written while training and at its end; with `resume` the run goes on from there, or is only judged anew.
    """

    graph: Graph
    request: Request
    data: Data
    settings: Settings
    noises: Sequence[Noise]
    seed: int
    bound: float
    kept: Path
    resume: bool = False


@dataclass(frozen=True)
class Trained:
    """The graph with the weights chosen, None where none was better than the start; and what was judged.

    `ranges` are those that were learnt for it, of some values and columns.
    """

    graph: Graph | None
    chosen: Verdict | None
    verdicts: Sequence[Verdict]
    held: int
    ranges: Ranges = NONE


def train(plan: Plan, progress: Callable[[int, float], None]) -> Trained:
    """Train, judge and choose; `progress` is told the steps done and the loss. Raises CimcError."""
    came = Network(plan.graph)
    given, held = split(plan.data, plan.settings.hold, plan.seed)
    request = replace(plan.request, data=lambda shapes: given.first(MEASURED).inputs)

    def measure(weights: Weights, ranges: Ranges = NONE) -> ArrayFacts:
        return measured(came.with_weights(weights), request.learnt(ranges))

    tables = _tables(plan, measure(came.weights).skips)
    network = _equalised(came, plan.settings, given, tables[0], measure)
    facts = measure(network.weights)
    left = pruned(network, facts, plan.settings, given, plan.seed)
    reads = ranges_read(network.graph, request.target)
    learning = Learning(network, plan.settings, left.weights, facts, reads)
    run, units = Run(learning, given, plan.seed, tables, measure, left.kept), learning.units
    state = _through(run, plan, units, progress)
    judge = Judge(network, request, plan.settings, plan.noises, held, given, _taught(network, held))
    candidates = {"start": Candidate(came.weights), **_candidates(learning, state.done, units)}
    verdicts = [judge.verdict(name, candidate) for name, candidate in candidates.items()]
    best = chosen(verdicts, plan.bound, held.count, must_gain=not plan.settings.prunes)
    winner = candidates[best.name if best else "start"]
    graph = network.with_weights(winner.weights) if best else None
    return Trained(graph, best, verdicts, held.count, winner.ranges)


def _equalised(
    came: Network, settings: Settings, data: Data, table: DeviceTable, measure: Callable[[Weights], ArrayFacts]
) -> Network:
    """Return the network that training begins with, its own teacher: scales are moved where settings say so."""
    if not settings.equalise:
        return came
    equaliser = Equaliser(came, measure(came.weights), table)
    return Network(came.with_weights(equalised(equaliser, data.first(MEASURED).inputs, settings.equalise)))


def _tables(plan: Plan, skips: bool) -> list[DeviceTable]:
    chip = machine({"target": plan.request.target.sections()})
    return [DeviceTable.of(moments(chip, noise, skips), plan.settings.noise) for noise in plan.noises]


def _through(run: Run, plan: Plan, units: Parameters, progress: Callable[[int, float], None]) -> State:
    """Return the state behind the last step."""
    kept = {f"kept\n{key}": mask for key, mask in run.kept.items()}
    mark = checkpoint.identity(_facts(plan), {**plan.data.arrays, **kept})
    begun = run.begin(units)
    state = checkpoint.restored(plan.kept, begun, mark) if plan.resume else begun
    for behind, loss in run.steps(state, units):
        state = behind
        done = int(state.step)
        progress(done, loss)
        if done % plan.settings.measure == 0 or done == plan.settings.all_steps:
            checkpoint.save(plan.kept, state, mark)
    return state


def _facts(plan: Plan) -> dict[str, Any]:
    request = plan.request
    facts = {"model": plan.graph.digest, "target": request.target.sections(), "pipeline": request.pipeline}
    chosen = {name: dict(getattr(request.chosen, name)) for name in ("bits", "reach", "rows")}
    chips = [(noise.profile.name, noise.time_s, sorted(noise.sources)) for noise in plan.noises]
    return {**facts, "chosen": chosen, "settings": asdict(plan.settings), "noise": chips, "seed": plan.seed}


def _candidates(learning: Learning, total: Parameters, units: Parameters) -> dict[str, Candidate]:
    """Return the mean of all runs, and means of it and of where they began: those keep more without noise."""
    settings = learning.settings
    trained = jax.tree.map(lambda value: value / np.float32(settings.runs), total)

    def mixed(share: float) -> Candidate:
        start = learning.start(units)
        found = real(jax.tree.map(lambda a, b: (1.0 - share) * a + share * b, start, trained), units)
        weights = {key: np.asarray(weight, np.float32) for key, weight in found.weights.items()}
        return Candidate(weights, learning.ranges(found))

    name = "pruned" if settings.prunes else "equalised"
    made = {name: Candidate(learning.begun)} if settings.prunes or settings.equalise else {}
    return {
        **made,
        "trained": mixed(1.0),
        "mean, one part trained": mixed(0.25),
        "mean": mixed(0.5),
        "mean, three parts trained": mixed(0.75),
    }


def _taught(network: Network, held: Data) -> Any:
    """Return the teacher's outputs [N, elements]."""
    order = np.argsort((-1, *int_values(network.output.order)))

    def values(weights: Weights, inputs: Mapping[str, Any]) -> Any:
        return network.values(weights, inputs)[network.output.x].transpose(order)

    outputs = jax.jit(values)
    starts = range(0, held.count, AT_ONCE)
    parts = (held.rows(np.arange(first, min(first + AT_ONCE, held.count))) for first in starts)
    found = [np.asarray(outputs(network.weights, part.inputs)) for part in parts]
    return np.concatenate(found).reshape(held.count, -1)
