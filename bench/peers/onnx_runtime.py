"""ONNX Runtime's own RNN, GRU and LSTM operators, for inference."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from bench.cases import GATES
from bench.numbers import draw

ORDER = {"rnn": (0,), "gru": (1, 0, 2), "lstm": (0, 3, 1, 2)}  # z r h, i o f c


def prepare(job, option, threads):
    """A session on a model of one node, with buffers that stay."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.force_spinning_stop", "1")  # between calls
    session = onnxruntime.InferenceSession(model(job).SerializeToString(), options, ["CPUExecutionProvider"])
    c = job.case
    y = onnxruntime.OrtValue.ortvalue_from_numpy(np.empty((c.steps, 1, c.batch, c.hidden), np.float32))
    binding = session.io_binding()
    binding.bind_cpu_input("x", draw(job)["x"])
    binding.bind_ortvalue_output("y", y)

    def run():
        session.run_with_iobinding(binding)
        return (view,)

    session.run_with_iobinding(binding)
    view = y.numpy()
    return run


def model(job):
    """The graph: weights in the order of ONNX."""
    n, gates, size = draw(job), GATES[job.cell], job.case.hidden

    def ordered(array):
        parts = np.split(array, gates)
        return np.concatenate([parts[place] for place in ORDER[job.cell]])

    both = np.concatenate([ordered(n["bias_ih"]), ordered(n["bias_hh"])])
    arrays = {"W": ordered(n["weight_ih"])[None], "R": ordered(n["weight_hh"])[None], "B": both[None]}
    extra = {"linear_before_reset": 1} if job.cell == "gru" else {}
    node = helper.make_node(job.cell.upper(), ["x", "W", "R", "B"], ["y"], hidden_size=size, **extra)
    graph = helper.make_graph(
        [node], "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", "B", size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["T", 1, "B", size])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return made
