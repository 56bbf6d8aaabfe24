"""Embeddings by a model in a directory: right vectors, beside requests; and a sentence for what is wrong."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest

from tests.providers import small_model as small
from tests.support.child import command, environment
from threadkeep.app import open_context
from threadkeep.clock import system_clock
from threadkeep.ids import id_maker
from threadkeep.providers.base import ModelFailure
from threadkeep.providers.local.embeddings import LocalEmbeddings
from threadkeep.settings import BadSettings, Settings

pytestmark = [pytest.mark.anyio, pytest.mark.promise("embeddings.local")]
SETTINGS = pytest.mark.promise("embeddings.local-settings")
TEXTS = ["The cat sat", "a dog ran over the hill", "unheard", ""]
Open = Callable[..., LocalEmbeddings]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens directories, and closes them in the end."""
    every: list[LocalEmbeddings] = []

    def open_one(directory: Path, dimensions: int | None = None) -> LocalEmbeddings:
        every.append(LocalEmbeddings(str(directory), dimensions))
        return every[-1]

    yield open_one
    for one in every:
        one.close()


# ---------------------------------------------------------------- vectors


@pytest.mark.parametrize(("kind", "exact"), [("F32", 1e-5), ("F16", 2e-2), ("BF16", 1e-1)])
async def test_the_weights_of_a_bert_are_enough(tmp_path, opened: Open, kind: str, exact: float):
    weights = small.bert_weights()
    embedder = opened(small.write_bert(tmp_path, weights, kind))
    for text, found in zip(TEXTS, await embedder.embed(TEXTS), strict=True):
        wanted = small.bert_vectors(weights, text).mean(0)
        assert numpy.abs(wanted - found).max() < exact * numpy.abs(wanted).max()
    assert embedder.dimensions == small.SIZE


async def test_the_places_of_a_roberta_begin_behind_the_padding(tmp_path, opened: Open):
    weights = small.bert_weights()
    prefixed = {f"roberta.{name}": numbers for name, numbers in weights.items()}
    embedder = opened(small.write_bert(tmp_path, prefixed, model_type="xlm-roberta", pad_token_id=1))
    [found] = await embedder.embed(["the cat sat"])
    assert numpy.allclose(found, small.bert_vectors(weights, "the cat sat", first=2).mean(0), atol=1e-5)


@pytest.mark.parametrize("name", ["model.onnx", "onnx/model.onnx"])
@pytest.mark.parametrize(
    ("pooling", "wanted"),
    [
        (None, lambda rows: rows.mean(0)),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, lambda rows: rows.mean(0)),
        ({"pooling_mode_cls_token": True, "word_embedding_dimension": 16}, lambda rows: rows[0]),
        ({"pooling_mode": "max"}, lambda rows: rows.max(0)),
    ],
)
async def test_a_network_is_pooled_as_its_directory_says(
    tmp_path, opened: Open, name: str, pooling: Any, wanted: Any
):
    embedder = opened(small.write_table(tmp_path, name, pooling))
    for text, found in zip(TEXTS, await embedder.embed(TEXTS), strict=True):
        assert numpy.allclose(found, wanted(small.TABLE[small.tokens_of(text)]), atol=1e-6)


async def test_vectors_are_of_length_one_where_the_directory_says_so(tmp_path, opened: Open):
    pooling = {"pooling_mode_mean_tokens": True}
    embedder = opened(small.write_table(tmp_path, "model.onnx", pooling, "Normalize"))
    rows = small.TABLE[small.tokens_of("the cat")].mean(0)
    assert numpy.allclose(await embedder.embed(["the cat"]), rows / numpy.linalg.norm(rows), atol=1e-6)


async def test_a_network_may_pool_by_itself(tmp_path, opened: Open):
    embedder = opened(small.write_table(tmp_path, output="sentence_embedding"))
    rows = small.TABLE[small.tokens_of("the cat")].sum(0)
    assert numpy.allclose(await embedder.embed(["the cat"]), rows, atol=1e-5)


@pytest.mark.parametrize(
    ("file", "content", "tokens"),
    [
        ("sentence_bert_config.json", {"max_seq_length": 6}, 6),
        ("tokenizer_config.json", {"model_max_length": 8}, 8),
        ("tokenizer_config.json", {"model_max_length": 1e30}, small.MOST_TOKENS),
        ("sentence_bert_config.json", {"max_seq_length": 500}, small.MOST_TOKENS),
    ],
)
async def test_of_a_long_text_the_beginning_counts(
    tmp_path, opened: Open, file: str, content: Any, tokens: int
):
    small.write_json(small.write_bert(tmp_path) / file, content)
    embedder = opened(tmp_path)
    room = tokens - 2
    full, longer, shorter = await embedder.embed(
        ["cat " * room, "cat " * room + "dog " * 500, "cat " * (room - 1)]
    )
    assert full == longer != shorter


async def test_a_vector_does_not_depend_on_what_comes_with_it(tmp_path, opened: Open):
    directory = small.write_bert(tmp_path)
    first, second = opened(directory), opened(directory)
    together = await first.embed(TEXTS)
    assert [(await second.embed([text]))[0] for text in TEXTS] == together
    assert await first.embed(TEXTS[::-1]) == together[::-1]
    assert await first.embed([]) == []


async def test_vectors_are_known_by_the_model_not_by_its_place(tmp_path, opened: Open):
    directory = small.write_bert(tmp_path / "one" / "small")
    moved = shutil.copytree(directory, tmp_path / "two" / "small")
    other = small.write_bert(tmp_path / "three" / "small", small.bert_weights(seed=8))
    names = [opened(one).model for one in (directory, moved, other)]
    assert names[0] == names[1] != names[2]
    assert all(name.startswith("local:small@") for name in names)


# ---------------------------------------------------------------- beside requests


async def test_the_server_goes_on_while_texts_are_embedded(tmp_path, opened: Open):
    embedder = opened(small.write_bert(tmp_path))
    task = asyncio.ensure_future(embedder.embed(["the cat sat"] * 200))
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 200


async def test_a_query_does_not_wait_for_a_file(tmp_path, opened: Open):
    embedder = opened(small.write_bert(tmp_path))
    file = asyncio.ensure_future(embedder.embed(["the cat sat"] * 2000))
    await embedder.embed(["a dog"])
    assert not file.done()
    file.cancel()
    with pytest.raises(asyncio.CancelledError):
        await file


async def test_a_model_that_fails_says_so(tmp_path, opened: Open):
    embedder = opened(small.write_bert(tmp_path, max_position_embeddings=10_000))
    with pytest.raises(ModelFailure, match="The local embedding model failed: "):
        await embedder.embed(["short", "cat " * 100])
    assert len(await embedder.embed(["short"])) == 1


# ---------------------------------------------------------------- the start


def spoil(name: str, content: str = "{") -> Callable[[Path], object]:
    return lambda directory: small.write_bert(directory).joinpath(name).write_text(content, "utf-8")


def without(name: str) -> Callable[[Path], None]:
    return lambda directory: small.write_bert(directory).joinpath(name).unlink()


def cut_short(directory: Path) -> None:
    path = small.write_bert(directory) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def lacking(directory: Path) -> None:
    weights = small.bert_weights()
    del weights["encoder.layer.1.output.dense.bias"]
    small.write_bert(directory, weights)


def of_other_shapes(directory: Path) -> None:
    weights = small.bert_weights()
    weights["encoder.layer.0.output.dense.weight"] = weights["encoder.layer.0.output.dense.weight"].T
    small.write_bert(directory, weights)


@SETTINGS
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: None, "there is no such directory"),
        (without("tokenizer.json"), "it has no tokenizer.json"),
        (without("model.safetensors"), "it has neither model.onnx nor onnx/model.onnx nor model.safetensors"),
        (spoil("tokenizer.json"), "its tokenizer.json cannot be read: "),
        (spoil("config.json"), "its config.json cannot be read: "),
        (spoil("modules.json"), "its modules.json cannot be read: "),
        (spoil("model.onnx"), "its model.onnx cannot be read: "),
        (spoil("model.safetensors"), "its model.safetensors is damaged: "),
        (cut_short, "its model.safetensors is damaged: "),
        (lacking, "lack 'encoder.layer.1.output.dense.bias'"),
        (of_other_shapes, "its model.safetensors cannot be read: "),
        (lambda path: small.write_bert(path, model_type="mpnet"), "its model_type is 'mpnet'"),
        (lambda path: small.write_bert(path, hidden_act="relu"), "its hidden_act is 'relu', not 'gelu'"),
        (
            lambda path: small.write_bert(path, position_embedding_type="relative_key"),
            "its positions are not absolute",
        ),
        (
            lambda path: small.write_table(path, pooling={"pooling_mode": "lasttoken"}),
            "its pooling is lasttoken, of which Threadkeep has mean, cls and max alone",
        ),
        (
            lambda path: small.write_table(path, "model.onnx", {}, "Dense"),
            "its modules.json asks for Dense, which Threadkeep does not have",
        ),
        (
            lambda path: onnx.save(
                small.table_network("pixels"), str(small.write_table(path) / "model.onnx")
            ),
            "its network asks for pixels, which Threadkeep does not have",
        ),
    ],
)
def test_a_directory_that_is_no_model_is_refused(tmp_path, make: Callable[[Path], object], said: str):
    directory = tmp_path / "model"
    make(directory)
    with pytest.raises(BadSettings) as problem:
        LocalEmbeddings(str(directory))
    text = str(problem.value)
    assert text.startswith(f"embedding_model is 'local:{directory}', but the model cannot be used: ")
    assert said in text


@SETTINGS
def test_vectors_of_another_length_cannot_be_asked_for(tmp_path, opened: Open):
    directory = small.write_bert(tmp_path)
    assert opened(directory, small.SIZE).dimensions == small.SIZE
    with pytest.raises(BadSettings, match=r"embedding_dimensions is 8, but .* have 16 numbers: leave it out"):
        opened(directory, 8)


@SETTINGS
async def test_the_setting_names_a_directory(tmp_path):
    small.write_bert(tmp_path / "model")
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/x.db",
        files_url=f"file:///{tmp_path}/files",
        embedding_model=f"local:{tmp_path / 'model'}",
    )
    async with open_context(settings, system_clock, id_maker(system_clock)) as context:
        assert context.embedder
        assert context.embedder.model.startswith("local:model@")
        assert len(await context.embedder.embed(["the cat"])) == 1


@SETTINGS
def test_a_server_without_its_model_does_not_start(tmp_path):
    refused = command(tmp_path, "serve", "--port", "0", THREADKEEP_EMBEDDING_MODEL="local:models/small")
    sentence = (
        "embedding_model is 'local:models/small', but the model cannot be used: there is no such directory."
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.splitlines()[-1].endswith(sentence)


@SETTINGS
@pytest.mark.parametrize("library", ["onnxruntime", "tokenizers", "numpy", "onnx"])
def test_a_server_without_the_extra_says_what_to_install(tmp_path, library: str):
    """As it is where a library is not installed: Python refuses to import what `None` stands for."""
    small.write_bert(tmp_path / "model")
    blocked = f"import sys; sys.modules[{library!r}] = None"
    program = f"{blocked}; from threadkeep.cli import main; sys.exit(main())"
    refused = subprocess.run(
        [sys.executable, "-c", program, "serve", "--port", "0"],
        cwd=tmp_path,
        env=environment(THREADKEEP_EMBEDDING_MODEL="local:model"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    sentence = (
        f"embedding_model is 'local:model', but {library} is not installed: "
        "install threadkeep[local-embeddings]."
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.splitlines()[-1].endswith(sentence)
