"""The table of supported ONNX operators: each name and the function that translates one node of it."""

from collections.abc import Callable, Mapping

from xdsl.ir import SSAValue

from cimc.frontend import (
    arithmetic,
    attention,
    choice,
    convolution,
    elementwise,
    logic,
    matrix,
    movement,
    normalisation,
    pooling,
    quantisation,
    recurrent,
    reduction,
    resizing,
    transposed_convolution,
)
from cimc.frontend.lowering import Lowering
from cimc.ir.functions import COMPARISONS, FUNCTIONS

Translation = Callable[[Lowering], SSAValue | tuple[SSAValue, ...]]

TABLES = {
    function.operator: elementwise.unary(name)
    for name, function in FUNCTIONS.items()
    if function.operator and function.operator not in COMPARISONS
}
"""Operators that are one table each."""

OPERATORS: Mapping[str, Translation] = {
    "Add": arithmetic.addition,
    "And": logic.conjunction,
    "ArgMax": reduction.place_of_extremum(smallest=False),
    "ArgMin": reduction.place_of_extremum(smallest=True),
    "Attention": attention.attention,
    "AveragePool": pooling.average_pool,
    "BatchNormalization": arithmetic.batch_normalisation,
    "Cast": logic.cast,
    "Clip": elementwise.clip,
    "Concat": movement.concat,
    "Conv": convolution.convolution,
    "ConvTranspose": transposed_convolution.transposed_convolution,
    "DepthToSpace": movement.depth_to_space,
    "DequantizeLinear": quantisation.dequantize_linear,
    "Div": arithmetic.division,
    "Dropout": elementwise.same,
    "Equal": logic.comparison("equals"),
    "Expand": movement.expand,
    "Flatten": movement.reshaped,
    "GRU": recurrent.gru,
    "Gather": movement.gather,
    "Gelu": elementwise.gelu,
    "Gemm": matrix.gemm,
    "GlobalAveragePool": pooling.global_average_pool,
    "GlobalLpPool": pooling.global_lp_pool,
    "GlobalMaxPool": pooling.global_max_pool,
    "Greater": logic.comparison("greater"),
    "GreaterOrEqual": logic.comparison("at_least"),
    "GroupNormalization": normalisation.group,
    "Identity": elementwise.same,
    "InstanceNormalization": normalisation.instance,
    "LRN": pooling.local_response_normalisation,
    "LSTM": recurrent.lstm,
    "LayerNormalization": normalisation.layer,
    "Less": logic.comparison("less"),
    "LessOrEqual": logic.comparison("at_most"),
    "LogSoftmax": elementwise.log_softmax,
    "LpNormalization": normalisation.length,
    "LpPool": pooling.lp_pool,
    "MatMul": matrix.matmul,
    "Max": arithmetic.extremum(largest=True),
    "MaxPool": pooling.max_pool,
    "Mean": arithmetic.mean,
    "Min": arithmetic.extremum(largest=False),
    "Mul": arithmetic.multiplication,
    "Neg": arithmetic.negation,
    "Not": logic.negation,
    "Or": logic.disjunction,
    "PRelu": elementwise.prelu,
    "Pad": movement.pad,
    "Pow": elementwise.power,
    "QuantizeLinear": quantisation.quantize_linear,
    "RNN": recurrent.rnn,
    "RMSNormalization": normalisation.root_mean_square,
    "ReduceL1": reduction.reduction(reduction.total_of_sizes),
    "ReduceL2": reduction.reduction(reduction.length),
    "ReduceLogSum": reduction.reduction(reduction.logarithm_of_total),
    "ReduceLogSumExp": reduction.reduction(reduction.logarithm_of_exponentials),
    "ReduceMax": reduction.reduction(reduction.maximum),
    "ReduceMean": reduction.reduction(reduction.average),
    "ReduceMin": reduction.reduction(reduction.minimum),
    "ReduceProd": reduction.reduction(reduction.product),
    "ReduceSum": reduction.reduction(reduction.total),
    "ReduceSumSquare": reduction.reduction(reduction.total_of_squares),
    "Relu": elementwise.relu,
    "Reshape": movement.reshape,
    "Resize": resizing.resize,
    "Slice": movement.slice_,
    "Softmax": elementwise.softmax,
    "SpaceToDepth": movement.space_to_depth,
    "Split": movement.split,
    "Squeeze": movement.reshaped,
    "Sub": arithmetic.subtraction,
    "Sum": arithmetic.total,
    "Tile": movement.tile,
    "Transpose": movement.transpose,
    "Unsqueeze": movement.reshaped,
    "Where": choice.where,
    "Xor": logic.exclusion,
    **TABLES,
}
"""Constant, ConstantOfShape, Shape and everything else that depends on constants only is folded before."""

ON_ARRAY = frozenset({"Conv", "ConvTranspose", "GRU", "Gemm", "LSTM", "MatMul", "RNN", "Resize"})
"""Operators whose matrix product runs on the crossbar, wherever their matrix is constant."""
