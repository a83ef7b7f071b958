"""Memory: a compile never holds a large layer in double, nor a second copy of it in float32."""

import tracemalloc
from pathlib import Path

import numpy as np
import onnx
from frontend.onnx_models import model, node

from cimc.driving.driver import Request, compile_model
from cimc.targets import load_target

ROWS, COLS = 4096, 1024
FLOAT32_BYTES = 4 * ROWS * COLS


def test_compiling_a_large_layer_takes_little_more_than_its_program(tmp_path: Path) -> None:
    """The conductances, 16 bit, are there twice at the end: in the graph and in the program."""
    weight = np.random.default_rng(5).standard_normal((ROWS, COLS), np.float32)
    proto = model([node("Gemm", "x w", "y")], {"x": ("N", ROWS)}, {"w": weight})
    path = tmp_path / "model.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="model.data")
    del weight, proto
    tracemalloc.start()
    program = compile_model(path, Request(load_target("ideal"))).emission.program
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(program.conductances) == FLOAT32_BYTES // 2
    assert peak < 1.6 * FLOAT32_BYTES
