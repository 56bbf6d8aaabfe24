"""Models, as the official client asks for them."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openai import NotFoundError, OpenAI, PermissionDeniedError

from tests.support.house import House
from tests.support.upstream import Error, Upstream

pytestmark = pytest.mark.promise("models.list")


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def served(tmp_path: Path, up: Upstream) -> Iterator[OpenAI]:
    """A client of a server with an upstream."""
    up.models = ["gpt-4o", "meta-llama/Llama-3.1 8B"]
    with (
        House(tmp_path, upstream_base_url=up.url, require_beta_header=True) as house,
        OpenAI(base_url=house.base_url, api_key=house.new_key("models"), max_retries=0) as client,
    ):
        yield client


def test_a_server_without_providers_has_echo(tmp_path: Path):
    with (
        House(tmp_path) as house,
        OpenAI(base_url=house.base_url, api_key=house.new_key("models"), max_retries=0) as client,
    ):
        [model] = client.models.list()
    assert model.to_dict() == {"id": "echo", "object": "model", "created": 0, "owned_by": "threadkeep"}


def test_the_list_has_no_pages(http: httpx.Client):
    answer = http.get("/v1/models").json()
    assert list(answer) == ["object", "data"]
    assert answer["object"] == "list"


def test_an_upstreams_models_are_listed(served: OpenAI):
    assert [model.id for model in served.models.list()] == ["echo", "gpt-4o", "meta-llama/Llama-3.1 8B"]


@pytest.mark.promise("models.retrieve")
def test_one_model(served: OpenAI):
    expected = {"id": "gpt-4o", "object": "model", "created": 1_700_000_000, "owned_by": "upstream"}
    assert served.models.retrieve("gpt-4o").to_dict() == expected
    assert served.models.retrieve("meta-llama/Llama-3.1 8B").id == "meta-llama/Llama-3.1 8B"
    assert served.get("/models/meta-llama/Llama-3.1%208B", cast_to=httpx.Response).json()["object"] == "model"


@pytest.mark.promise("models.retrieve")
def test_a_model_that_nobody_has(served: OpenAI):
    for name in ("gpt-5", "meta-llama", "gpt-4o/x"):
        with pytest.raises(NotFoundError) as refused:
            served.models.retrieve(name)
        assert refused.value.body == {
            "message": f"The model '{name}' does not exist",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }


@pytest.mark.promise("models.delete")
def test_no_model_can_be_deleted(served: OpenAI):
    for name in ("gpt-4o", "meta-llama/Llama-3.1 8B", "echo"):
        with pytest.raises(PermissionDeniedError, match="insufficient permissions for this operation"):
            served.models.delete(name)
    with pytest.raises(NotFoundError) as refused:
        served.models.delete("gpt-5")
    assert refused.value.body == {
        "message": "The model 'gpt-5' does not exist",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    assert [model.id for model in served.models.list()] == ["echo", "gpt-4o", "meta-llama/Llama-3.1 8B"]


@pytest.mark.promise("models.no-version")
@pytest.mark.parametrize("beta", [{}, {"OpenAI-Beta": "assistants=v1"}, {"OpenAI-Beta": "assistants=v2"}])
def test_models_are_the_same_in_every_version(served: OpenAI, beta):
    listed = served.get("/models", cast_to=httpx.Response, options={"headers": beta}).json()
    assert [model["id"] for model in listed["data"]][:2] == ["echo", "gpt-4o"]


def test_an_upstream_in_trouble_leaves_what_is_known(served: OpenAI, up: Upstream):
    up.models = Error(500)
    assert [model.id for model in served.models.list()] == ["echo"]
