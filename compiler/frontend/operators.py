"""The table of supported ONNX operators: each name and the function that translates one node of it."""

from collections.abc import Callable, Mapping

from xdsl.ir import SSAValue

from cimc.frontend import arithmetic, convolution, elementwise, matrix, movement, pooling, quantisation, recurrent
from cimc.frontend.site import Site

Translation = Callable[[Site], SSAValue | tuple[SSAValue, ...]]

OPERATORS: Mapping[str, Translation] = {
    "Add": arithmetic.addition,
    "AveragePool": pooling.average_pool,
    "BatchNormalization": arithmetic.batch_normalisation,
    "Clip": elementwise.clip,
    "Concat": movement.concat,
    "Conv": convolution.convolution,
    "DequantizeLinear": quantisation.dequantize_linear,
    "Div": arithmetic.division,
    "Dropout": elementwise.same,
    "Flatten": movement.reshaped,
    "GRU": recurrent.gru,
    "Gather": movement.gather,
    "Gemm": matrix.gemm,
    "GlobalAveragePool": pooling.global_average_pool,
    "GlobalMaxPool": pooling.global_max_pool,
    "HardSigmoid": elementwise.unary("hard_sigmoid", alpha=0.2, beta=0.5),
    "HardSwish": elementwise.unary("hard_swish"),
    "Identity": elementwise.same,
    "LSTM": recurrent.lstm,
    "LeakyRelu": elementwise.unary("leaky_relu", alpha=0.01),
    "MatMul": matrix.matmul,
    "MaxPool": pooling.max_pool,
    "Mul": arithmetic.multiplication,
    "Neg": arithmetic.negation,
    "Pad": movement.pad,
    "QuantizeLinear": quantisation.quantize_linear,
    "RNN": recurrent.rnn,
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
    "Unsqueeze": movement.reshaped,
}
"""Constant, ConstantOfShape, Shape and everything else that depends on constants only is folded before."""
