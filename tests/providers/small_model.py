"""Directories with small models in them: a BERT of random weights, and a network of one table."""

import json
import math
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, save
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "a", "cat", "dog", "sat", "ran", "over", "hill"]
SIZE, HEADS, LAYERS, INNER, MOST_TOKENS = 16, 4, 2, 24, 12
CONFIG = {
    "model_type": "bert",
    "hidden_size": SIZE,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "max_position_embeddings": MOST_TOKENS,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 0,
}
Weights = dict[str, NDArray[Any]]
DTYPES = {"F32": numpy.float32, "F16": numpy.float16}


def write_tokenizer(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.WordLevel({word: id for id, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(length=10)  # as some directories have it; it is not wanted
    tokenizer.save(str(directory / "tokenizer.json"))


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def tokens_of(text: str) -> list[int]:
    """What the tokenizer makes of a text that is not too long."""
    ids = [WORDS.index(word) if word in WORDS else 1 for word in text.lower().split()]
    return [2, *ids, 3]


# ---------------------------------------------------------------- a BERT


def bert_weights(seed: int = 7, prefix: str = "") -> Weights:
    chance = numpy.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), SIZE),
        "embeddings.position_embeddings.weight": (MOST_TOKENS, SIZE),
        "embeddings.token_type_embeddings.weight": (2, SIZE),
    }
    norms, linears = ["embeddings.LayerNorm"], {}
    for layer in (f"encoder.layer.{number}." for number in range(LAYERS)):
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            linears[f"{layer}attention.{name}"] = (SIZE, SIZE)
        linears[f"{layer}intermediate.dense"] = (INNER, SIZE)
        linears[f"{layer}output.dense"] = (SIZE, INNER)
        norms += [f"{layer}attention.output.LayerNorm", f"{layer}output.LayerNorm"]
    for name, shape in linears.items():
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]
    for name in norms:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (SIZE,)
    return {
        prefix + name: chance.normal(0, 0.5, shape).astype(numpy.float32) for name, shape in shapes.items()
    }


def write_weights(path: Path, weights: Weights, kind: str = "F32") -> None:
    """A safetensors file; the kind BF16 keeps the upper half of each float."""
    head: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, numbers in weights.items():
        if kind == "BF16":
            content = (numbers.view(numpy.uint32) >> 16).astype(numpy.uint16).tobytes()
        else:
            content = numbers.astype(DTYPES[kind]).tobytes()
        head[name] = {
            "dtype": kind,
            "shape": [*numbers.shape],
            "data_offsets": [len(body), len(body) + len(content)],
        }
        body += content
    described = json.dumps(head).encode()
    path.write_bytes(len(described).to_bytes(8, "little") + described + body)


def write_bert(directory: Path, weights: Weights | None = None, kind: str = "F32", **config: Any) -> Path:
    write_tokenizer(directory)
    write_json(directory / "config.json", CONFIG | config)
    write_weights(directory / "model.safetensors", weights or bert_weights(), kind)
    return directory


def bert_vectors(weights: Weights, text: str, first: int = 0) -> NDArray[Any]:
    """The vectors of a text's tokens, in other words than those of the server. `first` is the first place."""
    ids = tokens_of(text)

    def linear(name: str, given: NDArray[Any]) -> NDArray[Any]:
        return given @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name: str, given: NDArray[Any]) -> NDArray[Any]:
        spread = numpy.sqrt(given.var(-1, keepdims=True) + CONFIG["layer_norm_eps"])
        apart = (given - given.mean(-1, keepdims=True)) / spread
        return apart * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    table = {name: weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position")}
    kinds = weights["embeddings.token_type_embeddings.weight"]
    hidden = table["word"][ids] + table["position"][first : first + len(ids)] + kinds[0]
    hidden = norm("embeddings.LayerNorm", hidden)
    for layer in (f"encoder.layer.{number}." for number in range(LAYERS)):
        seen = []
        for head in range(HEADS):
            part = slice(head * SIZE // HEADS, (head + 1) * SIZE // HEADS)
            query, key, value = (
                linear(f"{layer}attention.self.{which}", hidden)[:, part]
                for which in ("query", "key", "value")
            )
            scores = numpy.exp(query @ key.T / numpy.sqrt(SIZE // HEADS))
            seen.append(scores / scores.sum(-1, keepdims=True) @ value)
        hidden = norm(
            f"{layer}attention.output.LayerNorm",
            hidden + linear(f"{layer}attention.output.dense", numpy.concatenate(seen, -1)),
        )
        inner = linear(f"{layer}intermediate.dense", hidden)
        inner = inner * (1 + erf(inner / numpy.sqrt(2))) / 2
        hidden = norm(f"{layer}output.LayerNorm", hidden + linear(f"{layer}output.dense", inner))
    return hidden


def erf(numbers: NDArray[Any]) -> NDArray[Any]:
    return numpy.vectorize(math.erf)(numbers)


# ---------------------------------------------------------------- a table


TABLE = numpy.random.default_rng(3).normal(0, 1, (len(WORDS), SIZE)).astype(numpy.float32)


def table_network(*inputs: str, output: str = "last_hidden_state") -> Any:
    """An ONNX network that looks each token up in a table; with the output `sentence_embedding` it adds all
    of a text up."""
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["found"])]
    if output == "sentence_embedding":
        nodes.append(helper.make_node("ReduceSum", ["found", "axis"], [output], keepdims=0))
    else:
        nodes.append(helper.make_node("Identity", ["found"], [output]))
    given = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "t"]) for name in ("input_ids", *inputs)
    ]
    constants = [
        numpy_helper.from_array(TABLE, "table"),
        numpy_helper.from_array(numpy.array([1], numpy.int64), "axis"),
    ]
    made = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "table", given, made, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_table(
    directory: Path, name: str = "model.onnx", pooling: object = None, *more: str, **network: Any
) -> Path:
    """`pooling` is what 1_Pooling/config.json holds, if there is one; `more` follows it in modules.json."""
    write_tokenizer(directory)
    (directory / name).parent.mkdir(exist_ok=True)
    save(table_network("attention_mask", "token_type_ids", **network), str(directory / name))
    if pooling is not None:
        write_json(directory / "1_Pooling" / "config.json", pooling)
        steps = [("Transformer", ""), ("Pooling", "1_Pooling"), *((one, "") for one in more)]
        modules = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in steps]
        write_json(directory / "modules.json", modules)
    return directory
