"""What stands in a model's directory, as sentence-transformers lay it out.

    tokenizer.json                      how texts become tokens
    model.onnx or onnx/model.onnx       the network; without either:
    model.safetensors, config.json      its weights, where it is a BERT or a RoBERTa
    modules.json, 1_Pooling/            how the vectors of tokens become one
    sentence_bert_config.json           how many tokens it reads

Everything but tokenizer and network may be left out: then vectors are averaged.
"""

import hashlib
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

Pooling = Literal["mean", "cls", "max"]

GRAPHS = ("model.onnx", "onnx/model.onnx")
WEIGHTS = "model.safetensors"
POOLINGS: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}
MODULES = {"Transformer", "Pooling", "Normalize"}
USUAL_TOKENS = 512
"""How many tokens are read of a text where the directory does not say it."""
MOST_TOKENS = 8192
BLOCK = 1024 * 1024


class BadModel(Exception):
    """A directory that cannot be used; the text is the end of a sentence for a person."""


class Module(Struct):
    """A line of modules.json: a step from a text to its vector."""

    type: str
    path: str = ""

    @property
    def name(self) -> str:
        return self.type.rpartition(".")[2]


class Layout(Struct, frozen=True):
    """A model's directory, read."""

    path: Path
    network: Path
    config: dict[str, Any]
    pooling: Pooling
    normalized: bool
    max_tokens: int

    def digest(self) -> str:
        """What tells this model's vectors from another's, wherever the directory is."""
        found = hashlib.sha256(f"{self.pooling} {self.normalized} {self.max_tokens}".encode())
        beside = self.network.with_name(f"{self.network.name}_data")  # what ONNX keeps of a large network
        for path in (self.path / "tokenizer.json", self.network, *([beside] if beside.exists() else [])):
            with path.open("rb") as file:
                while block := file.read(BLOCK):
                    found.update(block)
        return found.hexdigest()[:12]


def layout_of(path: Path) -> Layout:
    """Raises `BadModel`."""
    if not path.is_dir():
        raise BadModel("there is no such directory")
    if not (path / "tokenizer.json").is_file():
        raise BadModel("it has no tokenizer.json")
    network = network_in(path)
    config = table_in(path / "config.json")
    pooling, normalized = pooling_of(path)
    return Layout(path, network, config, pooling, normalized, max_tokens_of(path, config))


def network_in(path: Path) -> Path:
    for name in (*GRAPHS, WEIGHTS):
        if (path / name).is_file():
            return path / name
    raise BadModel(f"it has neither {GRAPHS[0]} nor {GRAPHS[1]} nor {WEIGHTS}")


def table_in(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where there is no such file. Raises `BadModel`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as problem:
        raise BadModel(f"its {path.name} cannot be read: {problem}") from None


def pooling_of(path: Path) -> tuple[Pooling, bool]:
    """How the vectors of tokens become one, and whether that is made as long as 1."""
    try:
        modules = msgspec.json.decode((path / "modules.json").read_bytes(), type=list[Module])
    except FileNotFoundError:
        modules = [Module("Transformer"), Module("Pooling", "1_Pooling")]
    except (OSError, msgspec.DecodeError) as problem:
        raise BadModel(f"its modules.json cannot be read: {problem}") from None
    names = [module.name for module in modules]
    if unknown := [name for name in names if name not in MODULES]:
        raise BadModel(f"its modules.json asks for {unknown[0]}, which Threadkeep does not have")
    pooling: Pooling = "mean"
    for module in modules:
        if module.name == "Pooling":
            pooling = pooling_in(table_in(path / module.path / "config.json"))
    return pooling, "Normalize" in names


def pooling_in(config: dict[str, Any]) -> Pooling:
    """Newer directories name it, older ones have a switch for each kind."""
    if (named := config.get("pooling_mode")) is not None:
        asked = [named] if isinstance(named, str) else list(named)
    else:
        asked = [key for key, on in config.items() if key.startswith("pooling_mode_") and on is True]
    names = [POOLINGS.get(one, one) for one in asked] or ["mean"]
    for known in POOLINGS.values():
        if names == [known]:
            return known
    raise BadModel(f"its pooling is {' with '.join(names)}, of which Threadkeep has mean, cls and max alone")


def max_tokens_of(path: Path, config: dict[str, Any]) -> int:
    """How many tokens of a text are read, those that the tokenizer adds included."""
    asked = table_in(path / "sentence_bert_config.json").get("max_seq_length")
    asked = asked or table_in(path / "tokenizer_config.json").get("model_max_length") or USUAL_TOKENS
    positions = config.get("max_position_embeddings")
    if not isinstance(asked, int | float) or not isinstance(positions, int | None):
        raise BadModel("its configuration does not say in numbers how many tokens it reads")
    most = MOST_TOKENS if positions is None else positions - first_position(config)
    return int(min(asked, most, MOST_TOKENS))


def first_position(config: dict[str, Any]) -> int:
    """RoBERTa counts its places from behind the padding's number."""
    if "roberta" not in str(config.get("model_type")):
        return 0
    return int(config.get("pad_token_id") or 0) + 1
