"""A model in memory: from a text to its vector. Blocks, and may be used by several threads at once."""

import os
from typing import Any

import numpy
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from threadkeep.providers.local.directory import WEIGHTS, BadModel, Layout, Pooling

POOLED = "sentence_embedding"
"""What the output is called of networks that end with the vector of the text."""
TINY = 1e-12
Weights = dict[str, NDArray[Any]]


class Model:
    """Raises `BadModel`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._tokenizer = tokenizer_of(layout)
        self._weights: Weights = {}
        self._session = session_of(layout, self._weights)
        inputs = {one.name for one in self._session.get_inputs()}
        if unknown := inputs - {"input_ids", "attention_mask", "token_type_ids"}:
            raise BadModel(f"its network asks for {min(unknown)}, which Threadkeep does not have")
        self._inputs = inputs
        outputs = [one.name for one in self._session.get_outputs()]
        self._output = POOLED if POOLED in outputs else outputs[0]
        try:
            self.dimensions = len(self.vector("one"))
        except Exception as problem:  # whatever keeps it from working
            raise BadModel(f"it cannot be run: {in_one_line(problem)}") from problem

    def vector(self, text: str) -> list[float]:
        """Each text is run by itself, so its vector does not depend on what comes with it.

        Raises what the runtime does.
        """
        tokens = numpy.array([self._tokenizer.encode(text).ids], numpy.int64)
        given = {
            "input_ids": tokens,
            "attention_mask": numpy.ones_like(tokens),
            "token_type_ids": numpy.zeros_like(tokens),
        }
        [found] = self._session.run([self._output], {name: given[name] for name in self._inputs})
        one = pooled(found[0], self._layout.pooling) if found.ndim == 3 else found[0]
        if self._layout.normalized:
            one = one / max(float(numpy.linalg.norm(one)), TINY)
        numbers: list[float] = one.astype(numpy.float32).tolist()
        return numbers


def in_one_line(problem: Exception) -> str:
    return " ".join(str(problem).split()).rstrip(".")


def pooled(vectors: NDArray[Any], pooling: Pooling) -> NDArray[Any]:
    """The vectors of all tokens as one."""
    match pooling:
        case "cls":
            one = vectors[0]
        case "max":
            one = vectors.max(axis=0)
        case "mean":
            one = vectors.mean(axis=0)
    return numpy.asarray(one)


def tokenizer_of(layout: Layout) -> Tokenizer:
    # Texts come one at a time; and its threads would complain of every child process of the server.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        found = Tokenizer.from_file(str(layout.path / "tokenizer.json"))
        found.no_padding()
        found.enable_truncation(layout.max_tokens)
    except Exception as problem:  # tokenizers raises nothing narrower
        raise BadModel(f"its tokenizer.json cannot be read: {problem}") from problem
    return found


def session_of(layout: Layout, weights: Weights) -> onnxruntime.InferenceSession:
    """The network, ready to be run; `weights` gets what must be kept as long as it is used.

    One thread to a text: how many there are is decided by whoever asks.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        network = network_of(layout, weights)
        if weights:
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(one) for one in weights.values()]
            options.add_external_initializers([*weights], values)
        return onnxruntime.InferenceSession(network, options, ["CPUExecutionProvider"])
    except (BadModel, ImportError):
        raise
    except Exception as problem:  # one of a dozen classes, with no common one below
        raise BadModel(f"its {layout.network.name} cannot be read: {in_one_line(problem)}") from problem


def network_of(layout: Layout, weights: Weights) -> str | bytes:
    """A path, or the network itself where the directory has only weights, which are put into `weights`."""
    if layout.network.name != WEIGHTS:
        return str(layout.network)
    from threadkeep.providers.local import bert  # ONNX itself is not loaded without need

    network, found = bert.network(layout.config, bert.weights_in(layout.network))
    weights.update(found)
    return network
