"""The default pipeline, the registry of passes, and pipelines written as text."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, ClassVar, Protocol

from cimc.diagnostics import fail
from cimc.ir.graph import Graph
from cimc.passes.calibrate import Batch, Calibrate
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
from cimc.passes.place import Place
from cimc.passes.quantise import Quantise
from cimc.passes.ranges import Ranges
from cimc.passes.replicate import Replicate
from cimc.passes.reuse import Reuse
from cimc.passes.schedule import Schedule
from cimc.passes.split import Split
from cimc.passes.weight_mapping import WeightMapping
from cimc.targets import Target


class Pass(Protocol):
    """A frozen value: a name, options as typed fields, one call."""

    name: ClassVar[str]

    def __call__(self, graph: Graph) -> Graph: ...


@dataclass(frozen=True)
class Setting:
    """What a pipeline is built for: the chip, the calibration data, and stored ranges if there are any."""

    target: Target
    data: Batch = field(default_factory=dict, repr=False)
    ranges: Ranges | None = None


DEFAULT = (
    "masks,fuse-functions,layout,fold-affine,fold-pads,fold-reshapes,fuse-clamp,dead-code,"
    "weight-mapping,calibrate,quantise,mixed-precision,"
    "im2col,digital,split,column-ranges,reuse,conductance,compensation,replicate,place,schedule"
)
"""The road from an imported graph to a scheduled tile graph."""

PASSES: tuple[Any, ...] = (
    FoldAffine,
    FoldPads,
    Masks,
    FuseFunctions,
    Layout,
    FoldReshapes,
    FuseClamp,
    DeadCode,
    WeightMapping,
    Calibrate,
    Quantise,
    MixedPrecision,
    Im2col,
    Digital,
    Split,
    ColumnRanges,
    Reuse,
    Conductance,
    Compensation,
    Replicate,
    Place,
    Schedule,
)

STAGES: Mapping[str, str] = {
    "import": "",
    "graph": "dead-code",
    "quantised": "quantise",
    "tile": "schedule",
    "program": "schedule",
}
"""Stage -> the pass of the default pipeline after which it is reached."""

SETTING_FIELDS = ("target", "data", "ranges")
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


def up_to_stage(text: str, stage: str) -> str:
    """Return a pipeline's text up to a stage, or whole without the stage's pass. Raises CimcError CIM0305."""
    if stage not in STAGES:
        raise fail("CIM0305", f"there is no stage {stage!r}", hint=f"stages: {', '.join(STAGES)}")
    names, last = _split(text), STAGES[stage]
    found = stems(text)
    return ",".join(names[: found.index(last) + 1]) if last in found else "" if not last else text


def with_options(text: str, changes: str) -> str:
    """Return a pipeline's text with the options that `changes`, passes with options, give. Raises CimcError CIM0305."""
    names = _split(text)
    for change in _split(changes):
        (stem,) = stems(change)
        if stem not in stems(text):
            near = get_close_matches(stem, stems(text), 1)
            hint = f"did you mean {near[0]}?" if near else f"passes: {', '.join(stems(text))}"
            raise fail("CIM0305", f"there is no pass named {stem!r}", hint=hint)
        names[stems(text).index(stem)] = change.strip()
    return ",".join(names)


def stems(text: str) -> list[str]:
    """Return the names of the passes of a pipeline's text, without their options."""
    return [name.partition("{")[0].strip() for name in _split(text)]


def _split(text: str) -> list[str]:
    """Return the parts of a pipeline's text; commas inside braces separate nothing."""
    return re.findall(r"[^,{]+(?:\{[^}]*\})?", text)


def _build(name: str, parameters: Mapping[str, tuple[Any, ...]], setting: Setting) -> Pass:
    kind = next((kind for kind in PASSES if kind.name == name), None)
    if kind is None:
        known = [kind.name for kind in PASSES]
        near = get_close_matches(name, known, 1)
        raise fail(
            "CIM0305",
            f"there is no pass named {name!r}",
            hint=f"did you mean {near[0]}?" if near else f"passes: {', '.join(known)}",
        )
    options = {option.name: option for option in _options(kind)}
    values = {key: getattr(setting, key) for key in SETTING_FIELDS if key in {f.name for f in fields(kind)}}
    for key, value in parameters.items():
        if key not in options:
            raise fail(
                "CIM0305", f"pass {name} has no option {key!r}", hint=f"its options: {', '.join(options) or 'none'}"
            )
        values[key] = _converted(name, options[key], value)
    return kind(**values)  # type: ignore[no-any-return]


def _options(kind: Any) -> Iterator["Field[Any]"]:
    return (option for option in fields(kind) if option.name not in SETTING_FIELDS)


def _converted(name: str, option: "Field[Any]", value: tuple[Any, ...]) -> Any:
    wanted = type(option.default) if option.default is not MISSING else str
    found = value[0] if len(value) == 1 else value
    if wanted is float and isinstance(found, int):
        found = float(found)
    if not isinstance(found, wanted):
        raise fail("CIM0305", f"option {option.name} of pass {name} is {found!r}, wanted a {wanted.__name__}")
    return found


__all__ = ["DEFAULT", "PASSES", "STAGES", "Pass", "Setting", "parse_pipeline", "stems", "up_to_stage", "with_options"]
