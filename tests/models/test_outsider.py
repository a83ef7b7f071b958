"""Trained networks in the outsider's executor: every code that any instruction writes is ours, noise off and on.

With -s, the end says how many codes that were.
"""

import pytest
from backends.test_outsider import ours, outsiders, require_equal_chips  # noqa: TID251 tests/backends, not the package
from models.models import MODELS, Job

from cimc.backends.machine import ports
from cimc.bringup.record import record_of
from cimc.isa.container import load_program

TARGETS = ("aon-cim", "hermes-64", "hermes-64-4p")
TRACED = tuple(model for model in MODELS if model.stem.startswith(("kws", "resnet8", "mnist_lstm64_fp32")))
CHIPS = tuple(enumerate((0, 3600, 86400, 31536000, 3600)))
"""Seeds, each with its time in seconds."""
pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def traced(shared_models, tmp_path_factory):
    """A function from a model and a target to its program and the codes of the first test sample."""

    def compiled(model, target):
        job = Job(model, "", target, shared_models, tmp_path_factory.mktemp(model.stem))
        job.compile()
        program = load_program(job.program)
        one = {name: array[:1] for name, array in job.inputs().items()}
        return program, {name: codes[0] for name, codes in ports.codes_of(program, one).items()}

    return compiled


@pytest.fixture(scope="module")
def equal():
    """A list that takes the traces found equal."""
    found = []
    yield found
    records = [record_of(line).prefix for lines in found for line in lines]
    print(f"\n{sum(one.count for one in records if one.space == 'act'):,} codes of {len(found)} runs, none differs")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("model", TRACED, ids=lambda model: model.stem)
def test_no_code_differs(traced, equal, model, target):
    program, codes = traced(model, target)
    found = outsiders(program, codes)
    assert found == ours(program, codes)
    equal.append(found)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("model", TRACED, ids=lambda model: model.stem)
def test_no_code_of_a_noisy_chip_differs(traced, equal, model, target):
    """Five chips of the first target, one of each other: the plain executor takes some ten seconds for one."""
    program, codes = traced(model, target)
    for seed, seconds in CHIPS if target == TARGETS[0] else CHIPS[3:4]:
        equal.append(require_equal_chips(program, codes, "pcm", seed, seconds))
