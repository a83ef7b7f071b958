"""All passes in their order, which is the default pipeline, and pipelines written as text."""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar, Protocol

from cimc.diagnostics import fail
from cimc.evaluate import Batch
from cimc.ir.graph import Graph
from cimc.isa.names import did_you_mean
from cimc.passes.calibrate import Calibrate
from cimc.passes.chosen import Chosen
from cimc.passes.column_ranges import ColumnRanges
from cimc.passes.compensation import Compensation
from cimc.passes.conductance import Conductance
from cimc.passes.dead_code import DeadCode
from cimc.passes.digital.digital import Digital
from cimc.passes.fold_affine import FoldAffine
from cimc.passes.fold_pads import FoldPads
from cimc.passes.fold_reshapes import FoldReshapes
from cimc.passes.fuse_clamp import FuseClamp
from cimc.passes.fuse_functions import FuseFunctions
from cimc.passes.im2col import Im2col
from cimc.passes.layout.layout import Layout
from cimc.passes.masks import Masks
from cimc.passes.mixed_precision import MixedPrecision
from cimc.passes.place import Place, require_cells
from cimc.passes.quantise import Quantise
from cimc.passes.ranges import Ranges
from cimc.passes.replicate import Replicate
from cimc.passes.reuse import Reuse
from cimc.passes.row_copies import RowCopies
from cimc.passes.schedule import Schedule
from cimc.passes.split import Split
from cimc.passes.weight_mapping import WeightMapping
from cimc.passes.windows import require_windows
from cimc.targets import Target


class Pass(Protocol):
    """A frozen value: a name, options as typed fields, one call."""

    name: ClassVar[str]

    def __call__(self, graph: Graph) -> Graph: ...


@dataclass(frozen=True)
class Setting:
    """What a pipeline is built for: the chip, the calibration data, stored ranges if there are any, and a choice."""

    target: Target
    data: Batch = field(default_factory=dict, repr=False)
    ranges: Ranges | None = None
    chosen: Chosen = field(default_factory=Chosen)


class Keeps(Enum):
    """What a pass leaves of the outputs, on the same data: their bits, their sums but for rounding, or their signal."""

    BITS = "the same bits"
    SUMS = "the same real values, summed or folded in another order"
    SIGNAL = "what codes, devices or converters of fewer bits leave of it"


@dataclass(frozen=True)
class Row:
    """A pass in its place: why it stands there, and the passes that must have run before it.

    `foresee` refuses an imported graph for which there is no hope, before any work is done.
    """

    kind: Any
    reason: str
    requires: tuple[str, ...] = ()
    foresee: Callable[[Graph, Target], None] | None = None
    keeps: Keeps = Keeps.BITS

    @property
    def name(self) -> str:
        return str(self.kind.name)

    @property
    def fields(self) -> set[str]:
        """The names of its options, and of what it takes from the setting."""
        return {one.name for one in fields(self.kind)}

    @property
    def options(self) -> "tuple[Field[Any], ...]":
        """Its options: what text may set."""
        return tuple(one for one in fields(self.kind) if one.name not in SETTING_FIELDS)


PASSES = (
    Row(Masks, "sees masks as the model wrote them, before scales fold into them", keeps=Keeps.SUMS),
    Row(
        FuseFunctions,
        "sees functions spelled out as the model wrote them, before their scales fold away",
        keeps=Keeps.SUMS,
    ),
    Row(
        Layout,
        "brings together what transposes keep apart, so that the foldings find it side by side",
        keeps=Keeps.SUMS,
    ),
    Row(FoldAffine, "works on neighbours, so behind layout", keeps=Keeps.SUMS),
    Row(FoldPads, "scales between a pad and its window have folded away by now", keeps=Keeps.SUMS),
    Row(FoldReshapes, "drops the movements that the passes before have made idle", keeps=Keeps.SUMS),
    Row(FuseClamp, "with scales folded, an activation stands right behind the layer it belongs to", keeps=Keeps.SUMS),
    Row(DeadCode, "ends the canonical graph: what nothing uses is neither calibrated nor mapped", keeps=Keeps.SUMS),
    Row(
        WeightMapping,
        "rewrites layers as float graph, so that their new values are calibrated like all others",
        keeps=Keeps.SIGNAL,
    ),
    Row(Calibrate, "the graph has its last values now, and they are still real"),
    Row(Quantise, "makes codes of the ranges just found", requires=("calibrate",), keeps=Keeps.SIGNAL),
    Row(
        MixedPrecision,
        "takes bits from codes that are there, while layers still have real weights",
        ("quantise",),
        keeps=Keeps.SIGNAL,
    ),
    Row(
        RowCopies,
        "makes codes of few bits finer when it is known which have few, before they are fitted to the DAC",
        ("quantise",),
        keeps=Keeps.SIGNAL,
    ),
    Row(
        Im2col,
        "fits the codes that layers read to the DAC while all values are those of the graph",
        ("quantise",),
        keeps=Keeps.SIGNAL,
    ),
    Row(
        Digital,
        "lowers what layers have left, when no value changes its codes any more",
        ("im2col",),
        foresee=require_windows,
        keeps=Keeps.SIGNAL,
    ),
    Row(
        Split,
        "blocks, not layers, have sums that an ADC converts, so they are cut before sums are measured",
        ("im2col",),
    ),
    Row(ColumnRanges, "measures the sums of blocks on the codes they will read", ("split",)),
    Row(Reuse, "layers that share blocks share the larger of their peaks, so behind column-ranges", ("column-ranges",)),
    Row(
        Conductance,
        "makes devices of weights now that peaks and gain are known",
        ("column-ranges",),
        keeps=Keeps.SIGNAL,
    ),
    Row(Compensation, "notes what programmed devices give when new", ("conductance",)),
    Row(
        Replicate, "knows the free tiles when all blocks are known, and adds blocks before they are placed", ("split",)
    ),
    Row(Place, "every block there will be is known", ("split",), foresee=require_cells),
    Row(Schedule, "operations have their last form and order, so memory can be given by liveness", ("digital",)),
)
"""The road from an imported graph to a scheduled tile graph."""

DEFAULT = ",".join(row.name for row in PASSES)

STAGES: Mapping[str, str] = {
    "import": "",
    "graph": "dead-code",
    "quantised": "quantise",
    "tile": "schedule",
    "program": "schedule",
}
"""Stage -> the pass of the default pipeline after which it is reached."""

SETTING_FIELDS = tuple(one.name for one in fields(Setting))
"""Fields of passes that come from the setting, never from text."""


def parse_pipeline(text: str, setting: Setting) -> tuple[Pass, ...]:
    """Return the passes of `name{option=value},name,...`. Raises CimcError CIM0305."""
    from xdsl.utils.arg_spec import parse_pipeline as parse
    from xdsl.utils.exceptions import ArgSpecParseError

    try:
        specs = list(parse(text))
    except ArgSpecParseError as error:
        raise fail(
            "CIM0305", f"cannot read the pipeline {text!r}: {error}", hint="write name{option=value},name"
        ) from None
    return tuple(_build(spec.name, spec.normalize_parameter_names().parameters, setting) for spec in specs)


def bits_budget(text: str, target: Target) -> float:
    """Return the loss, in dB, for which a pipeline chooses fewer bits by itself: 0 where it does not.

    Raises CimcError CIM0305.
    """
    made = parse_pipeline(text, Setting(target))
    return max((one.budget for one in made if isinstance(one, MixedPrecision)), default=0.0)


def rows_of(text: str) -> list[Row]:
    """Return the rows of the passes that a pipeline's text names, in its order; unknown names are left out."""
    known = {row.name: row for row in PASSES}
    return [known[stem] for stem in stems(text) if stem in known]


def needs_data(text: str) -> bool:
    """Return whether a pass of a pipeline looks at calibration data."""
    return any("data" in row.fields for row in rows_of(text))


def require_order(text: str, begun: bool) -> None:
    """Refuse a pipeline in which a pass comes before one that it requires. Raises CimcError CIM0305.

    Where it is not `begun` on a graph that passes have made, it must name what its passes require.
    """
    rows = rows_of(text)
    names = [row.name for row in rows]
    for place, row in enumerate(rows):
        for needed in row.requires:
            if needed not in names[:place] and (needed in names or not begun):
                found = f"comes behind {row.name}" if needed in names else "is not in the pipeline"
                raise fail("CIM0305", f"pass {row.name} requires {needed} before it, which {found}", hint=order_hint())


def order_hint() -> str:
    """Return the next step of whoever has put passes in an order that does not work."""
    return f"the order that works: {DEFAULT}"


def up_to_stage(text: str, stage: str) -> str:
    """Return a pipeline's text up to a stage, or whole without the stage's pass. Raises CimcError CIM0305."""
    if stage not in STAGES:
        raise fail("CIM0305", f"there is no stage {stage!r}", hint=f"stages: {', '.join(STAGES)}")
    return up_to_pass(text, STAGES[stage]) if STAGES[stage] else ""


def up_to_pass(text: str, name: str) -> str:
    """Return a pipeline's text up to pass `name`, or whole without it."""
    found = stems(text)
    return ",".join(_split(text)[: found.index(name) + 1]) if name in found else text


def behind_stage(text: str, stage: str) -> str:
    """Return what a pipeline's text runs behind a stage, or whole without its pass. Raises CimcError CIM0305."""
    up_to_stage(text, stage)
    return behind_pass(text, STAGES[stage])


def behind_pass(text: str, name: str) -> str:
    """Return what a pipeline's text runs behind pass `name`, or whole without it."""
    found = stems(text)
    return ",".join(_split(text)[found.index(name) + 1 :]) if name in found else text


def with_options(text: str, changes: str) -> str:
    """Return a pipeline's text with the options that `changes`, passes with options, give. Raises CimcError CIM0305."""
    names = _split(text)
    for change in _split(changes):
        (stem,) = stems(change)
        if stem not in stems(text):
            hint = did_you_mean(stem, stems(text), f"passes: {', '.join(stems(text))}")
            raise fail("CIM0305", f"there is no pass named {stem!r}", hint=hint)
        names[stems(text).index(stem)] = change.strip()
    return ",".join(names)


def with_unset(text: str, name: str, options: Mapping[str, str]) -> str:
    """Return a pipeline's text in which pass `name`, if it is there, has `options`, unless it has set one of them."""
    parts = _split(text)
    for place, part in enumerate(parts):
        _, _, given = part.strip().removesuffix("}").partition("{")
        if stems(part) == [name] and not any(_sets(given, option) for option in options):
            made = " ".join(f"{option}={value}" for option, value in options.items())
            parts[place] = f"{name}{{{f'{given} {made}'.strip()}}}"
    return ",".join(parts)


def _sets(given: str, option: str) -> bool:
    """Return whether the text between a pass's braces sets an option; dashes may stand for underscores."""
    return option in re.findall(r"([\w-]+)=", given.replace("-", "_"))


def stems(text: str) -> list[str]:
    """Return the names of the passes of a pipeline's text, without their options."""
    return [name.partition("{")[0].strip() for name in _split(text)]


def _split(text: str) -> list[str]:
    """Return the parts of a pipeline's text; commas inside braces separate nothing."""
    return re.findall(r"[^,{]+(?:\{[^}]*\})?", text)


def _build(name: str, parameters: Mapping[str, tuple[Any, ...]], setting: Setting) -> Pass:
    row = next((row for row in PASSES if row.name == name), None)
    if row is None:
        known = [row.name for row in PASSES]
        hint = did_you_mean(name, known, f"passes: {', '.join(known)}")
        raise fail("CIM0305", f"there is no pass named {name!r}", hint=hint)
    options = {option.name: option for option in row.options}
    values = {key: getattr(setting, key) for key in SETTING_FIELDS if key in row.fields}
    for key, value in parameters.items():
        if key not in options:
            raise fail(
                "CIM0305", f"pass {name} has no option {key!r}", hint=f"its options: {', '.join(options) or 'none'}"
            )
        values[key] = _converted(name, options[key], value)
    made: Pass = row.kind(**values)
    return made


def _converted(name: str, option: "Field[Any]", value: tuple[Any, ...]) -> Any:
    wanted = type(option.default) if option.default is not MISSING else str
    found = value[0] if len(value) == 1 else value
    if wanted is float and isinstance(found, int):
        found = float(found)
    if not isinstance(found, wanted):
        raise fail("CIM0305", f"option {option.name} of pass {name} is {found!r}, wanted a {wanted.__name__}")
    return found


__all__ = [
    "DEFAULT",
    "PASSES",
    "STAGES",
    "Keeps",
    "Pass",
    "Row",
    "Setting",
    "behind_pass",
    "behind_stage",
    "bits_budget",
    "needs_data",
    "order_hint",
    "parse_pipeline",
    "require_order",
    "rows_of",
    "stems",
    "up_to_pass",
    "up_to_stage",
    "with_options",
    "with_unset",
]
