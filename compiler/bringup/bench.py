"""One matrix-vector instruction as a test bench: its vectors, devices, sums, codes, results, and what checks them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.facts import Gain, Machine, machine
from cimc.backends.machine.observer import Observer, Products
from cimc.backends.machine.rounding import half_even
from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.walk import Walk
from cimc.bringup.image import BOTH, Memory, require_frozen
from cimc.isa.phases import Phase
from cimc.isa.program import Instruction, Program
from cimc.isa.region import Region, blocks_streamed
from cimc.isa.table import FACTOR_ONE

Array = NDArray[Any]

BENCHED = ("mvm", "capture")


class _Once(Observer):
    """Keeps what one instruction does the first time: its products, and what it writes [vectors, length]."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.products: Products | None = None
        self.written: Array | None = None

    def vectors(self, index: int, count: int) -> Sequence[int]:
        return range(count) if index == self.index and self.products is None else ()

    def multiplied(self, index: int, products: Products) -> None:
        self.products = products

    def wrote(self, index: int, values: Array) -> None:
        if index == self.index and self.written is None:
            self.written = values[0].copy()


@dataclass(frozen=True)
class Bench:
    """The first run of an instruction on one sample: blocks, their gains and devices [2, rows, cols], all its numbers.

    `multipliers` [blocks, cols] are those of an mvm with its drift factors, `offsets` [cols] its B.
    """

    one: Instruction
    facts: Machine
    regions: tuple[Region, ...]
    gains: tuple[Gain, ...]
    planes: tuple[Array, ...]
    products: Products
    written: Array
    multipliers: Array
    offsets: Array

    def memories(self) -> Iterator[Memory]:
        """Yield the memories that the module loads."""
        blocks = self.products.blocks
        vectors = np.concatenate([block.inputs[0] for block in blocks], axis=1)
        yield Memory("vectors", vectors.astype("<i2").ravel(), 16, "DAC codes, vector by vector")
        for side, name in enumerate(("plus", "minus")):
            devices = np.concatenate([plane[side] for plane in self.planes]).astype("<u2")
            yield Memory(name, devices.ravel(), 16, f"{name} devices, row by row, block behind block")
        conversions = [each for block in blocks for each in block.conversions]
        for name in ("sums", "codes"):
            found = np.stack([getattr(each, name)[0] for each in conversions], axis=1)
            about = f"{name} of each vector, block behind block, read phase behind read phase"
            yield Memory(name, found.astype("<i8").ravel(), 64, about)
        yield Memory("results", self.written.astype("<i8").ravel(), 64, "what is written, vector by vector")
        yield Memory("multipliers", self.multipliers.astype("<i8").ravel(), 64, "M with drift factors, block by block")
        yield Memory("offsets", self.offsets.astype("<i8").ravel(), 64, "B of each column")

    @property
    def _phases(self) -> list[Phase]:
        """The read phases, the same for all blocks."""
        return [each.phase for each in self.products.blocks[0].conversions]

    def module(self) -> str:
        """Return a SystemVerilog module `bench` that computes codes and results anew and counts what differs."""
        rows = [region.rows for region in self.regions]
        numbers = {
            "VECTORS": len(self.products.vectors),
            "BLOCKS": len(rows),
            "PHASES": len(self._phases),
            "ROWS": sum(rows),
            "COLS": self.regions[0].cols,
            "ADC_LOW": self.facts.adc_range[0],
            "ADC_HIGH": self.facts.adc_range[1],
            "FLOOR": int(self.facts.adc_rounding == "floor"),
            "IS_MVM": int(self.one.name == "mvm"),
            "SHIFT": self.one["shift"] if self.one.name == "mvm" else 0,
            "LOW": self.one["low"] if self.one.name == "mvm" else 0,
            "HIGH": self.one["high"] if self.one.name == "mvm" else 0,
        }
        lines = [f"  localparam longint {name} = {value};" for name, value in numbers.items()]
        starts = np.cumsum([0, *rows]).tolist()
        lines += _chosen("first_row", starts)
        lines += _chosen("multiplier", [gain.multiplier for gain in self.gains])
        lines += _chosen("divide", [gain.divide for gain in self.gains])
        lines += _chosen("inputs", [phase.inputs for phase in self._phases])
        lines += _chosen("side", [phase.side for phase in self._phases])
        lines += _chosen("sign", [phase.sign for phase in self._phases])
        return _MODULE.replace("PARAMETERS", "\n".join(lines))


def _chosen(name: str, values: Sequence[int]) -> list[str]:
    """Return a function of the number of a block or a read phase."""
    cases = [f"      {number}: {name} = {value};" for number, value in enumerate(values)]
    return [f"  function automatic longint {name}(input longint t);", "    case (t)", *cases,
            f"      default: {name} = 0;", "    endcase", "  endfunction"]  # fmt: skip


def bench(program: Program, codes: Mapping[str, Array], index: int, noise: Noise | None = None) -> Bench:
    """Return the bench of an instruction's first run on one sample of input codes [*port.shape].

    Raises Refusal CIM0563 where noise is fresh in each product or the instruction has no products, and Trap.
    """
    require_frozen(noise)
    one, facts, watch = program.instructions[index], machine(program.meta), _Once(index)
    if one.name not in BENCHED or (noise and noise.has("adc")):
        raise Refusal(
            "CIM0563", f"instruction {index}, {one.name}: a bench is for mvm and capture, ADCs without errors"
        )
    Interpreter(program, noise=noise).run({name: array[None] for name, array in codes.items()}, watch)
    walk = Walk(program, facts, noise)
    walk.to(index)
    numbers, crossbar = blocks_streamed(one), walk.state.crossbar
    regions = tuple(crossbar.block(number) for number in numbers)
    assert watch.products and watch.written is not None
    return Bench(
        one=one,
        facts=facts,
        regions=regions,
        gains=tuple(crossbar.gain(cells.tile) for cells in regions),
        planes=tuple(crossbar.tile(cells.tile).conductances(cells, crossbar.seconds, BOTH) for cells in regions),
        products=watch.products,
        written=watch.written,
        multipliers=_multipliers(walk, one, numbers, regions[0].cols),
        offsets=walk.state.biases(one["bias"], regions[0].cols) if one.name == "mvm" else np.zeros(0, np.int64),
    )


def _multipliers(walk: Walk, one: Instruction, numbers: range, cols: int) -> Array:
    """Return round(M * F / 2^14) [blocks, cols]. Raises Refusal CIM0563 where the sample decides F."""
    if one.name != "mvm":
        return np.zeros((0, cols), np.int64)
    scale = walk.state.multipliers(one["scale"], len(numbers) * cols).reshape(-1, cols)
    rows = []
    for table, number in zip(scale.tolist(), numbers, strict=True):
        factors = walk.state.factors(number, cols)
        if factors is None:
            raise Refusal("CIM0563", f"the drift factors of block b{number} depend on the sample", "bench a capture")
        rows.append([half_even(m * int(f), FACTOR_ONE) for m, f in zip(table, factors[0], strict=True)])
    return np.array(rows, np.int64)


_MODULE = """\
// The crossbar, its converters and the epilogue of one instruction: loads its memories, counts what differs.
module bench;
PARAMETERS

  logic [15:0] vectors[0:VECTORS*ROWS-1];
  logic [15:0] plus[0:ROWS*COLS-1];
  logic [15:0] minus[0:ROWS*COLS-1];
  logic [63:0] sums[0:VECTORS*BLOCKS*PHASES*COLS-1];
  logic [63:0] codes[0:VECTORS*BLOCKS*PHASES*COLS-1];
  logic [63:0] results[0:VECTORS*COLS-1];
  logic [63:0] multipliers[0:BLOCKS*COLS-1];
  logic [63:0] offsets[0:COLS-1];

  // n / 2^k, rounded to the nearest integer, halves to even; downwards where `down`.
  function automatic longint rounded(input longint n, input longint k, input logic down);
    longint whole, rest, half;
    whole = n >>> k;
    rest = n - (whole <<< k);
    half = k == 0 ? 1 : (64'sd1 <<< (k - 1));
    rounded = whole + (!down && (rest > half || (rest == half && whole[0])) ? 1 : 0);
  endfunction

  function automatic longint clamped(input longint n, input longint low, input longint high);
    clamped = n < low ? low : n > high ? high : n;
  endfunction

  // What a read phase drives of an input: all of it, or its magnitude where it has the sign that is read.
  function automatic longint driven(input longint x, input longint of_sign);
    driven = of_sign == 0 ? x : x * of_sign > 0 ? x * of_sign : 0;
  endfunction

  // What a read phase meets of a pair: the difference, or one side.
  function automatic longint conducted(input longint plus, input longint minus, input longint of_side);
    conducted = of_side == 0 ? plus - minus : of_side > 0 ? plus : minus;
  endfunction

  longint sum, code, joined, total, wrong, at, x;

  initial begin
    $readmemh("vectors.hex", vectors);
    $readmemh("plus.hex", plus);
    $readmemh("minus.hex", minus);
    $readmemh("sums.hex", sums);
    $readmemh("codes.hex", codes);
    $readmemh("results.hex", results);
    if (IS_MVM != 0) begin
      $readmemh("multipliers.hex", multipliers);
      $readmemh("offsets.hex", offsets);
    end
    wrong = 0;
    for (int v = 0; v < VECTORS; v++) begin
      for (int j = 0; j < COLS; j++) begin
        total = IS_MVM != 0 ? $signed(offsets[j]) : 0;
        for (int t = 0; t < BLOCKS; t++) begin
          joined = 0;
          for (int p = 0; p < PHASES; p++) begin
            sum = 0;
            for (longint i = first_row(t); i < first_row(t + 1); i++) begin
              x = driven($signed(vectors[v*ROWS+i]), inputs(p));
              sum = sum + x * conducted(longint'(plus[i*COLS+j]), longint'(minus[i*COLS+j]), side(p));
            end
            code = clamped(rounded(sum * multiplier(t), divide(t), FLOOR != 0), ADC_LOW, ADC_HIGH);
            at = ((v * BLOCKS + t) * PHASES + p) * COLS + j;
            if (sum !== $signed(sums[at]) || code !== $signed(codes[at])) begin
              $display("vector %0d block %0d phase %0d column %0d: sum %0d code %0d, wanted %0d %0d", v, t, p, j, sum,
                       code, $signed(sums[at]), $signed(codes[at]));
              wrong = wrong + 1;
            end
            joined = joined + sign(p) * code;
          end
          total = total + (IS_MVM != 0 ? joined * $signed(multipliers[t*COLS+j]) : joined);
        end
        if (IS_MVM != 0) total = clamped(rounded(total, SHIFT, 0), LOW, HIGH);
        if (total !== $signed(results[v*COLS+j])) begin
          $display("vector %0d column %0d: result %0d, wanted %0d", v, j, total, $signed(results[v*COLS+j]));
          wrong = wrong + 1;
        end
      end
    end
    $display("%0d of %0d numbers differ", wrong, VECTORS * COLS * (2 * BLOCKS * PHASES + 1));
    $finish;
  end
endmodule
"""
