"""What instructions write, as the table of layers and the streams say: pieces, loops, states, stacks run backwards."""

from collections.abc import Mapping
from pathlib import Path

from cimc.isa.assemble import parse
from cimc.isa.writes import TensorWrite, writes_of

HEAD = '.cimc 1\n.layer "a" "x"\n.layer "loop" ""\n.layer "state" "s"\n.layer "stack" "y"\n'


def written(body: str) -> Mapping[int, TensorWrite]:
    used = [line for line in HEAD.splitlines() if not line.startswith(".layer") or f".loc {line.split()[1]}" in body]
    return writes_of(parse("\n".join([*used, body]), lambda name: Path(name).open("rb")))


def tensor(stream: int, base: int, length: int, kind: str = "i8") -> str:
    shape = f"shape=[1, 1, 1, {length}], pitch=[0, 0, 0, 1]"
    return f"    tensor s{stream}, space=act, type={kind}, base={base}, {shape}\n"


def test_pieces_of_a_tensor_start_at_the_lowest_address_written() -> None:
    fill = "    fill out=s1, value=0\n"
    found = written('.loc "a"\n' + tensor(1, 0x28, 4, "i16") + fill + tensor(1, 0x20, 4, "i16") + fill)
    assert {index: (write.start, write.step, write.runs) for index, write in found.items()} == {
        1: (4, 0, 1),
        3: (0, 0, 1),
    }
    assert found[1].shape == (1, 1, 1, 4)


def test_a_value_of_a_loop_stands_once_a_step_and_a_state_before_it_too() -> None:
    state = '.loc "state"\n' + tensor(1, 8, 4) + "    fill out=s1, value=0\n"
    body = '.loc "a"\n' + tensor(1, 0, 8) + "    fill out=s1, value=1\n"
    found = written(state + '.loc "loop"\n    loop count=3\n' + body + state + '.loc "loop"\n    endloop\n')
    assert [(x.tensor, x.start, x.step, x.runs) for x in found.values()] == [
        ("s", 0, 0, 1),
        ("x", 0, 8, 3),
        ("s", 4, 4, 3),
    ]


def test_a_stack_is_filled_by_a_stream_that_moves() -> None:
    first = '.loc "stack"\n' + tensor(5, 16, 4)
    turn = '.loc "stack"\n    fill out=s5, value=0\n    advance s5, by=-4\n'
    found = written(first + '.loc "loop"\n    loop count=3\n' + turn + '.loc "loop"\n    endloop\n')
    assert [(x.tensor, x.start, x.step, x.runs) for x in found.values()] == [("y", 8, -4, 3)]


def test_without_a_table_nothing_is_known() -> None:
    assert written(".loc\n" + tensor(1, 0, 4) + "    fill out=s1, value=0\n") == {}
