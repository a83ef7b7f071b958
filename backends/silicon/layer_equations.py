"""What measured codes say of columns: inputs as the chip met them, and what its ADCs made of them.

Each measured layer stands in for what the simulated one would write, so that the inputs of every layer are those of the
chip, whatever its devices are. Of ADC codes an equation is code = slope * sum_i x_i W_i + offset, for each block by
itself; of a layer's own codes it is taken back through the digital epilogue, over all blocks of the layer together.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.facts import Gain, gain, machine
from cimc.backends.machine.observer import Observer, Products
from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.memory import Chunk
from cimc.backends.plan.state import Write
from cimc.backends.plan.steps import Step, Turns
from cimc.backends.plan.walk import Plan, plan
from cimc.backends.silicon.captured import ADC, epilogue_constants, with_layer_codes
from cimc.isa.conductances import targets
from cimc.isa.constants import ConstantMemory
from cimc.isa.program import Instruction, Program
from cimc.isa.region import Region, blocks_streamed, region
from cimc.isa.table import FACTOR_ONE

Array = NDArray[Any]
Reals = NDArray[np.float64]
Codes = Mapping[str, Array]

MOST = 1 << 15
"""About as many equations of a layer are kept, spread over its vectors."""
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Equations:
    """Of blocks whose rows lie one behind the other: inputs [n, rows], slopes [rows, cols], codes in LSB [n, cols].

    `usable` [n, cols] leaves out what was clipped; `variance` [cols] is that of rounding. `layer` is the layer's name,
    `hides_gain` says that drift factors of unknown size have scaled what was measured.
    """

    layer: str
    blocks: tuple[Region, ...]
    inputs: Reals
    slopes: Reals
    codes: Reals
    usable: NDArray[np.bool_]
    variance: Reals
    hides_gain: bool
    calibration: "Calibration | None" = None


@dataclass(frozen=True)
class Calibration:
    """What drift factors say of the block that they are of: inputs [n, rows], sums of |ADC code| [cols], nan: unknown.

    They are known where both codes of the ADCs and those of the layer were measured.
    """

    inputs: Reals
    sums: Reals


def layer_equations(program: Program, inputs: Codes, measured: Codes, noise: Noise | None) -> Iterator[Equations]:
    """Yield the equations of every measured layer, for input codes [N, *shape] by port, devices as `noise` has them.

    Raises Refusal CIM0535 where measured codes do not fit the program.
    """
    measured = with_layer_codes(program, measured)
    count, seen = len(next(iter(inputs.values()), range(1))), _Seen(program, measured)
    planned = _forced(program, plan(program, machine(program.meta), noise), measured, count, seen)
    Interpreter(program, noise=noise, executor="numpy", planned=planned).run(inputs, seen)
    for index, rows in seen.inputs.items():
        yield from _of_layer(program, index, rows, seen, measured)


def _forced(program: Program, planned: Plan, measured: Codes, count: int, seen: "_Seen") -> Plan:
    """Return the plan with what measured layers wrote in place of what they would write."""
    vectors = dict[str, int]()

    def forced(steps: Iterable[Step | Turns], times: int) -> Iterator[Step | Turns]:
        for step in steps:
            if isinstance(step, Turns):
                yield replace(step, body=tuple(forced(step.body, times * step.count)))
                continue
            name, one = program.layer_name(step.index), program.instructions[step.index]
            if one.name == "mvm" and name in measured and isinstance(step.action, Write):
                _require(one, name, measured[name], (count, step.action.out.length))
                vectors[name] = vectors.get(name, 0) + times * step.action.out.vectors
                step = replace(step, action=replace(step.action, compute=_Measured(step.action, name, seen)))
            yield step

    steps = list(forced(planned.observed, 1))
    if not vectors:
        raise Refusal("CIM0535", "no layer of the program is among the measured codes", "measure them with --layers")
    for name, each in vectors.items():
        if measured[name].shape[1] != each:
            raise _unfit(name, f"has {measured[name].shape[1]} vectors a sample, the program computes {each}")
    return Plan(steps, planned.largest)


@dataclass(frozen=True)
class _Measured:
    """Computes what a layer would write, so that observers are told, and writes what was measured."""

    write: Write
    name: str
    seen: "_Seen"

    def __call__(self, chunk: Chunk) -> Array:
        self.write.compute(chunk)
        return self.seen.measured(self.name, self.write.out.vectors)


def spread_vectors(count: int, equations: int) -> Sequence[int]:
    """Return which of so many vectors to take where all samples together have so many equations.

    Multiples of the golden ratio: steps of one length would meet the same column of every image.
    """
    if equations <= MOST:
        return range(count)
    taken = max(count * MOST // equations, 1)
    return sorted({int(count * ((number + 0.5) * GOLDEN % 1)) for number in range(taken)})


def _require(one: Instruction, name: str, codes: Array, wanted: tuple[int, int]) -> None:
    if codes.dtype.kind not in "iu" or codes.ndim != 3 or codes.shape[::2] != wanted:
        form = f"whole numbers over {wanted[0]} samples, their vectors and {wanted[1]} columns"
        raise _unfit(name, f"is of type {codes.dtype} and shape {codes.shape}, not {form}")
    if codes.min() < one["low"] or codes.max() > one["high"]:
        raise _unfit(name, f"has codes {codes.min()} to {codes.max()}, the layer gives {one['low']} to {one['high']}")


def _unfit(name: str, found: str) -> Refusal:
    return Refusal("CIM0535", f"measured layer {name!r} {found}", "measure the program and inputs that are given")


class _Seen(Observer):
    """Keeps the inputs [n, rows] of measured layers by instruction, which vectors they were, and drift factors.

    Beside them what the program says: `written`, the instruction that programs each block, and `gains`, that of the
    ADCs of each tile, of all tiles as -1.
    `probes`: of each block that is calibrated column by column, vectors [n, rows] and the sums [cols] they should give.
    """

    def __init__(self, program: Program, measured: Codes) -> None:
        self.inputs: dict[int, list[Array]] = {}
        self.places: dict[int, list[tuple[Array, Array]]] = {}
        self.factors: dict[int, Array] = {}
        self.written = {one["block"]: one for one in program.instructions if one.name == "program"}
        self.gains = _gains(program)
        self.probes: dict[int, tuple[Array, Array]] = {}
        self._program, self._measured = program, measured
        self._samples, self._turns = range(0), dict[str, int]()

    def begin(self, samples: range) -> None:
        self._samples, self._turns = samples, {}

    def vectors(self, index: int, count: int) -> Sequence[int]:
        if self._program.instructions[index].name == "calibrate":
            return range(count)
        name = self._program.layer_name(index)
        if self._program.instructions[index].name != "mvm" or name not in self._measured:
            return ()
        samples, vectors = self._measured[name].shape[:2]
        return spread_vectors(count, samples * vectors)

    def multiplied(self, index: int, products: Products) -> None:
        one = self._program.instructions[index]
        if products.factors is not None:
            blocks = zip(blocks_streamed(one), products.factors[0], strict=True)
            self.factors |= {block: factors / FACTOR_ONE for block, factors in blocks}
            self._keep_probes(one, products)
            return
        rows = np.concatenate([block.inputs for block in products.blocks], axis=2)
        first = self._turns.get(self._program.layer_name(index), 0)
        chosen = np.array(products.vectors) + first
        grid = np.meshgrid(np.array(self._samples), chosen, indexing="ij")
        self.inputs.setdefault(index, []).append(rows.reshape(-1, rows.shape[2]))
        self.places.setdefault(index, []).append((grid[0].ravel(), grid[1].ravel()))

    def _keep_probes(self, one: Instruction, products: Products) -> None:
        if one.choice("per") != "column" or len(products.blocks[0].inputs) > 1:  # factors of samples differ
            return
        numbers = blocks_streamed(one)
        count = len(numbers) * products.blocks[0].conversions[0].codes.shape[2]
        sums = ConstantMemory(self._program.constants).read(one["reference"], "i64", count).reshape(len(numbers), -1)
        each = zip(numbers, products.blocks, sums, strict=True)
        self.probes |= {number: (block.inputs[0].copy(), wanted) for number, block, wanted in each}

    def measured(self, name: str, vectors: int) -> Array:
        """Return the measured codes of the samples in flight, of the vectors of a layer that come next."""
        first = self._turns.get(name, 0)
        part = self._measured[name][self._samples.start : self._samples.stop, first : first + vectors]
        return part.astype(np.int64)

    def wrote(self, index: int, values: Array) -> None:
        name = self._program.layer_name(index)
        if self._program.instructions[index].name == "mvm":
            self._turns[name] = self._turns.get(name, 0) + values.shape[1]


def _of_layer(program: Program, index: int, rows: Sequence[Array], seen: _Seen, measured: Codes) -> Iterator[Equations]:
    inputs = np.concatenate(rows).astype(np.float64)
    samples, vectors = (np.concatenate(each) for each in zip(*seen.places[index], strict=True))
    name, one = program.layer_name(index), program.instructions[index]
    blocks = tuple(region(seen.written[number]) for number in blocks_streamed(one))
    lsb = [seen.gains.get(block.tile, seen.gains.get(-1)) for block in blocks]
    slopes = np.array([each.multiplier / 2.0**each.divide for each in lsb if each])
    if name + ADC in measured:
        wanted = (*measured[name].shape[:2], len(blocks), blocks[0].cols)
        if measured[name + ADC].shape != wanted:
            raise _unfit(name + ADC, f"is of shape {measured[name + ADC].shape}, {wanted} is needed")
        codes, own = (measured[key][samples, vectors].astype(np.float64) for key in (name + ADC, name))
        calibrations = _calibrations(program, one, seen, codes, own)
        yield from _of_adcs(program, name, blocks, inputs, slopes, codes, calibrations)
        return
    yield _of_codes(program, index, blocks, inputs, slopes, measured[name][samples, vectors], seen)


def _of_adcs(
    program: Program,
    name: str,
    blocks: tuple[Region, ...],
    inputs: Reals,
    slopes: Reals,
    codes: Reals,
    calibrations: Sequence[Calibration | None],
) -> Iterator[Equations]:
    """Yield the equations of each block by itself."""
    low, high = machine(program.meta).adc_range
    start = 0
    for t, block in enumerate(blocks):
        part, found = inputs[:, start : start + block.rows], codes[:, t]
        slope = np.full((block.rows, block.cols), slopes[t])
        usable = (found > low) & (found < high)
        rounding = np.full(block.cols, 1 / 12)
        yield Equations(name, (block,), part, slope, found, usable, rounding, False, calibrations[t])
        start += block.rows


def _calibrations(
    program: Program, one: Instruction, seen: _Seen, codes: Reals, own: Reals
) -> list[Calibration | None]:
    """Return what was calibrated of each block, from codes of ADCs [n, blocks, cols] and of the layer [n, cols]."""
    numbers, found = blocks_streamed(one), list[Calibration | None]()
    factors = _factors(program, one, codes, own) if seen.probes.keys() & set(numbers) else None
    for t, number in enumerate(numbers):
        probe = seen.probes.get(number)
        known = None if probe is None or factors is None else Calibration(probe[0].astype(float), probe[1] / factors[t])
        found.append(known)
    return found


def _factors(program: Program, one: Instruction, codes: Reals, own: Reals) -> Reals:
    """Return the drift factors [blocks, cols] that join codes of ADCs and of the layer, nan where they say nothing."""
    _, count, cols = codes.shape
    scales, offset = epilogue_constants(program, one, cols)
    scaled, wanted = codes * scales, own * 2.0 ** one["shift"] - offset
    usable = (own > one["low"]) & (own < one["high"])
    found = np.full((count, cols), np.nan)
    for column in range(cols):
        rows = usable[:, column]
        factors, _, rank, _ = np.linalg.lstsq(scaled[rows, :, column], wanted[rows, column], rcond=None)
        if rank == count:
            found[:, column] = factors
    return np.where(found > 0, found, np.nan)


def _of_codes(
    program: Program,
    index: int,
    blocks: tuple[Region, ...],
    inputs: Reals,
    slopes: Reals,
    codes: Array,
    seen: _Seen,
) -> Equations:
    """Return the equations of a layer's own codes, taken back to the mean LSB of its blocks."""
    one, cols = program.instructions[index], blocks[0].cols
    multipliers, offset = epilogue_constants(program, one, cols)
    numbers = blocks_streamed(one)
    scales = multipliers * np.stack([seen.factors.get(number, np.ones(cols)) for number in numbers])
    mean = scales.mean(axis=0)
    mean = np.where(np.abs(mean) > 0, mean, 1)
    found = (codes * 2.0 ** one["shift"] - offset) / mean
    each = zip(blocks, slopes, scales, strict=True)
    weights = [np.broadcast_to(slope * scale / mean, (block.rows, cols)) for block, slope, scale in each]
    usable = (codes > one["low"]) & (codes < one["high"]) & _unclipped(program, seen, numbers, inputs, slopes)
    variance = (np.square(2.0 ** one["shift"] / mean) + len(blocks)) / 12
    hides = any(number in seen.factors for number in numbers)
    return Equations(program.layer_name(index), blocks, inputs, np.concatenate(weights), found, usable, variance, hides)


def _unclipped(program: Program, seen: _Seen, numbers: range, inputs: Reals, slopes: Reals) -> NDArray[np.bool_]:
    """Return which products [n, cols] no ADC clips in any block, as far as the targets say: codes do not show it."""
    high, start = machine(program.meta).adc_range.high, 0
    found: NDArray[np.bool_] = np.ones((len(inputs), 1), bool)
    for slope, number in zip(slopes, numbers, strict=True):
        asked = targets(program.conductances, seen.written[number]).astype(np.float64)
        sums = inputs[:, start : start + len(asked)] @ asked
        found = found & (np.abs(slope * sums) < high)
        start += len(asked)
    return found


def _gains(program: Program) -> dict[int, Gain]:
    loads = [one for one in program.instructions if one.name == "gain"]
    return {-1 if one.choice("scope") == "all" else one["tile"]: gain(one) for one in loads}
