"""The table of supported ONNX operators: each name and the function that translates one node of it."""

from collections.abc import Callable, Mapping

from xdsl.ir import SSAValue

from cimc.frontend import (
    arithmetic,
    attention,
    choice,
    convolution,
    elementwise,
    matrix,
    movement,
    normalisation,
    pooling,
    quantisation,
    recurrent,
)
from cimc.frontend.site import Site

Translation = Callable[[Site], SSAValue | tuple[SSAValue, ...]]

OPERATORS: Mapping[str, Translation] = {
    "Add": arithmetic.addition,
    "Attention": attention.attention,
    "AveragePool": pooling.average_pool,
    "BatchNormalization": arithmetic.batch_normalisation,
    "Cast": elementwise.cast,
    "Clip": elementwise.clip,
    "Concat": movement.concat,
    "Conv": convolution.convolution,
    "DequantizeLinear": quantisation.dequantize_linear,
    "Div": arithmetic.division,
    "Dropout": elementwise.same,
    "Erf": elementwise.unary("erf"),
    "Flatten": movement.reshaped,
    "GRU": recurrent.gru,
    "Gather": movement.gather,
    "Gelu": elementwise.gelu,
    "Gemm": matrix.gemm,
    "GlobalAveragePool": pooling.global_average_pool,
    "GlobalMaxPool": pooling.global_max_pool,
    "GroupNormalization": normalisation.group,
    "HardSigmoid": elementwise.unary("hard_sigmoid", alpha=0.2, beta=0.5),
    "HardSwish": elementwise.unary("hard_swish"),
    "Identity": elementwise.same,
    "InstanceNormalization": normalisation.instance,
    "LayerNormalization": normalisation.layer,
    "LSTM": recurrent.lstm,
    "LeakyRelu": elementwise.unary("leaky_relu", alpha=0.01),
    "LpNormalization": normalisation.length,
    "MatMul": matrix.matmul,
    "MaxPool": pooling.max_pool,
    "Mul": arithmetic.multiplication,
    "Neg": arithmetic.negation,
    "Pad": movement.pad,
    "QuantizeLinear": quantisation.quantize_linear,
    "RNN": recurrent.rnn,
    "RMSNormalization": normalisation.root_mean_square,
    "ReduceMean": pooling.reduce_mean,
    "Relu": elementwise.relu,
    "Reshape": movement.reshape,
    "Sigmoid": elementwise.unary("sigmoid"),
    "Slice": movement.slice_,
    "Softmax": elementwise.softmax,
    "Split": movement.split,
    "Squeeze": movement.reshaped,
    "Sub": arithmetic.subtraction,
    "Sum": arithmetic.total,
    "Tanh": elementwise.unary("tanh"),
    "Transpose": movement.transpose,
    "Swish": elementwise.unary("swish", alpha=1.0),
    "Unsqueeze": movement.reshaped,
    "Where": choice.where,
}
"""Constant, ConstantOfShape, Shape and everything else that depends on constants only is folded before."""
