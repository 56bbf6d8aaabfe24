"""BERT and RoBERTa as an ONNX network, made from the weights that a directory has of them.

Most directories of models have weights alone; only a network can be run without PyTorch.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from threadkeep.providers.local.directory import BadModel, first_position

Weights = dict[str, NDArray[Any]]

KINDS = ("bert", "roberta", "xlm-roberta", "camembert")
OPSET, IR_VERSION = 20, 10
MASKED = -1e9
"""What is added to the score of a token that is not there."""
TYPES = {"F32": numpy.float32, "F16": numpy.float16, "BF16": numpy.uint16}


class Tensor(msgspec.Struct):
    """Where a tensor stands in the file, behind its head."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def weights_in(path: Path) -> Weights:
    """The tensors of a safetensors file that hold fractions, as 32-bit floats. Raises `BadModel`."""
    content = memoryview(path.read_bytes())
    size = int.from_bytes(content[:8], "little")
    try:
        head = msgspec.json.decode(content[8 : 8 + size], type=dict[str, Any])
        head.pop("__metadata__", None)
        tensors = msgspec.convert(head, dict[str, Tensor])
        return {
            name: floats(one, content[8 + size :][slice(*one.data_offsets)])
            for name, one in tensors.items()
            if one.dtype in TYPES
        }
    except (ValueError, msgspec.DecodeError) as problem:
        raise BadModel(f"its {path.name} is damaged: {problem}") from None


def floats(tensor: Tensor, content: memoryview) -> NDArray[Any]:
    numbers = numpy.frombuffer(content, TYPES[tensor.dtype]).reshape(tensor.shape)
    if tensor.dtype == "BF16":  # the upper half of a 32-bit float
        return (numbers.astype(numpy.uint32) << 16).view(numpy.float32)
    return numbers.astype(numpy.float32, copy=False)


def network(config: dict[str, Any], weights: Weights) -> tuple[bytes, Weights]:
    """The ONNX network, from `input_ids` and `attention_mask` to the vectors of the tokens; and its weights,
    which stand beside it as they are in memory. Raises `BadModel`."""
    if (kind := config.get("model_type")) not in KINDS:
        raise BadModel(f"it has no ONNX network, and its model_type is {kind!r}: only BERT needs none")
    if config.get("hidden_act", "gelu") != "gelu":
        raise BadModel(f"it has no ONNX network, and its hidden_act is {config['hidden_act']!r}, not 'gelu'")
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise BadModel("it has no ONNX network, and its positions are not absolute")
    try:
        return Bert(config, weights).made()
    except KeyError as missing:
        raise BadModel(f"its weights or its config.json lack {missing}") from None


class Bert:
    """The nodes of one network, as they are added one by one; names of values go from one to the next."""

    def __init__(self, config: dict[str, Any], weights: Weights) -> None:
        self._config, self._weights = config, weights
        [*found] = (name for name in weights if name.endswith("embeddings.word_embeddings.weight"))
        self._prefix = found[0].removesuffix("embeddings.word_embeddings.weight") if found else ""
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._beside: Weights = {}

    def made(self) -> tuple[bytes, Weights]:
        mask = self._mask()
        hidden = self._embedded()
        for layer in range(self._config["num_hidden_layers"]):
            hidden = self._layer(f"encoder.layer.{layer}.", hidden, mask)
        self._nodes.append(helper.make_node("Identity", [hidden], ["last_hidden_state"]))
        tokens = ["batch", "tokens"]
        graph = helper.make_graph(
            self._nodes,
            "bert",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, tokens)
                for name in ("input_ids", "attention_mask")
            ],
            [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*tokens, "numbers"])],
            self._constants,
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
        return model.SerializeToString(), self._beside

    def _node(self, operation: str, *inputs: str, **attributes: Any) -> str:
        output = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(operation, [*inputs], [output], **attributes))
        return output

    def _constant(self, numbers: NDArray[Any]) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(numbers, name))
        return name

    def _weight(self, name: str, *, turned: bool = False) -> str:
        found = self._weights[self._prefix + name]
        self._beside[name] = numpy.array(found.T if turned else found, order="C")  # the file itself can go
        place = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=self._beside[name].shape)
        place.data_location = TensorProto.EXTERNAL
        place.external_data.add(key="location", value=name)
        self._constants.append(place)
        return name

    def _ints(self, *numbers: int) -> str:
        return self._constant(numpy.array(numbers, numpy.int64))

    def _float(self, number: float) -> str:
        return self._constant(numpy.array(number, numpy.float32))

    def _mask(self) -> str:
        """0 for each token that is there, and very little for the others: [batch, 1, 1, tokens]."""
        there = self._node("Cast", "attention_mask", to=TensorProto.FLOAT)
        gone = self._node("Mul", self._node("Sub", self._float(1), there), self._float(MASKED))
        return self._node("Unsqueeze", gone, self._ints(1, 2))

    def _embedded(self) -> str:
        """What stands at each place: the token, the place, and that it is of the first of two texts."""
        tokens = self._node("Gather", self._weight("embeddings.word_embeddings.weight"), "input_ids")
        length = self._node("Gather", self._node("Shape", "input_ids"), self._ints(1))
        first = self._ints(first_position(self._config))
        end = self._node("Add", length, first)
        positions = self._weight("embeddings.position_embeddings.weight")
        place = self._node("Slice", positions, first, end, self._ints(0))
        kind = self._constant(self._weights[f"{self._prefix}embeddings.token_type_embeddings.weight"][0])
        together = self._node("Add", self._node("Add", tokens, kind), place)
        return self._normalized("embeddings.LayerNorm", together)

    def _layer(self, name: str, hidden: str, mask: str) -> str:
        seen = self._linear(f"{name}attention.output.dense", self._attended(name, hidden, mask))
        hidden = self._normalized(f"{name}attention.output.LayerNorm", self._node("Add", seen, hidden))
        inner = self._node("Gelu", self._linear(f"{name}intermediate.dense", hidden))
        outer = self._linear(f"{name}output.dense", inner)
        return self._normalized(f"{name}output.LayerNorm", self._node("Add", outer, hidden))

    def _attended(self, name: str, hidden: str, mask: str) -> str:
        heads = self._config["num_attention_heads"]
        size = self._config["hidden_size"] // heads
        query, key, value = self._heads(name, hidden, heads, size)
        query = self._node("Mul", query, self._float(size**-0.5))
        scores = self._node("Add", self._node("MatMul", query, key), mask)
        seen = self._node("MatMul", self._node("Softmax", scores, axis=-1), value)
        return self._node(
            "Reshape", self._node("Transpose", seen, perm=[0, 2, 1, 3]), self._ints(0, 0, heads * size)
        )

    def _heads(self, name: str, hidden: str, heads: int, size: int) -> Iterator[str]:
        """Query, key and value, each taken apart by heads; the key is turned."""
        for which, perm in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
            whole = self._linear(f"{name}attention.self.{which}", hidden)
            apart = self._node("Reshape", whole, self._ints(0, 0, heads, size))
            yield self._node("Transpose", apart, perm=perm)

    def _linear(self, name: str, hidden: str) -> str:
        weight = self._weight(f"{name}.weight", turned=True)
        return self._node("Add", self._node("MatMul", hidden, weight), self._weight(f"{name}.bias"))

    def _normalized(self, name: str, hidden: str) -> str:
        weight, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        epsilon = self._config.get("layer_norm_eps", 1e-12)
        return self._node("LayerNormalization", hidden, weight, bias, axis=-1, epsilon=epsilon)
