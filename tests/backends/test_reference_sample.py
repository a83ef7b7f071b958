"""The reference on a sample: which vectors it computes."""

from cimc.backends.reference import sampled as reference_sample


def test_a_sample_holds_ends_corners_and_edges(new):
    sketch = new(512).tensor(0, (1, 20, 30, 1)).window(0, (1, 1), (20, 30))
    machine = reference_sample.SampledReference(sketch.program(), lambda _: None, lambda *_: None)
    for i in sketch.instructions[:2]:
        getattr(machine, i.name)(i)
    chosen = reference_sample._chosen_vectors(machine.streams[0], 5)
    assert {0, 29, 19 * 30, 599, 15, 10 * 30, 10 * 30 + 29, 19 * 30 + 15} <= set(chosen)
    assert 64 < len(chosen) <= 64 + 9 and chosen == reference_sample._chosen_vectors(machine.streams[0], 5)
    assert chosen != reference_sample._chosen_vectors(machine.streams[0], 6)
