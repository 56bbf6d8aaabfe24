"""Parts of a file's content, from a directory and from a bucket alike. Reference: RFC 9110, section 14."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.house import House
from tests.support.s3 import BUCKET, S3, s3

__all__ = ["s3"]

CONTENT = bytes(range(256)) * 4000
SIZE = len(CONTENT)
BIG = "9" * 30


@pytest.fixture(scope="module", params=["directory", "bucket"])
def house(
    request: pytest.FixtureRequest, s3: S3, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """A server with its files in either."""
    directory = tmp_path_factory.mktemp("ranges")
    places = {"directory": f"file:///{directory / 'files'}", "bucket": f"s3://{BUCKET}/ranges"}
    with House(directory, files_url=places[request.param]) as one:
        yield one


def upload(http: httpx.Client, content: bytes) -> str:
    form = {"file": ("a.bin", content)}
    answer = http.post("/v1/files", data={"purpose": "vision"}, files=form)
    return f"/files/{answer.json()['id']}/content"


@pytest.mark.promise("files.content.ranges")
@pytest.mark.parametrize("base", ["/v1", "/rubra"])
def test_a_range_is_answered_with_its_part(http, base):
    path = base + upload(http, CONTENT)
    for asked, first, last in [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=300000-900000", 300000, 900000),
        ("bytes=5-", 5, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        (f"bytes=0-{BIG}", 0, SIZE - 1),
        ("bytes=-7", SIZE - 7, SIZE - 1),
        (f"bytes=-{BIG}", 0, SIZE - 1),
        ("BYTES= 1-2", 1, 2),
    ]:
        part = http.get(path, headers={"Range": asked})
        assert part.status_code == 206, asked
        assert part.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
        assert part.headers["content-length"] == str(last - first + 1)
        assert part.headers["content-type"] == "application/octet-stream"
        assert part.headers["content-disposition"] == 'attachment; filename="a.bin"'
        assert part.content == CONTENT[first : last + 1]


@pytest.mark.promise("files.content.ranges")
def test_what_is_not_one_range_of_bytes_is_passed_over(http):
    path = "/v1" + upload(http, CONTENT)
    for asked in [
        "bytes=1-2,5-6",
        "bytes=2-1",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes 1-2",
        "bytes=+1-2",
        "bytes=١-٢".encode(),
        "lines=1-2",
        "",
    ]:
        whole = http.get(path, headers={"Range": asked})
        assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes"), asked
        assert "content-range" not in whole.headers
        assert whole.content == CONTENT
    other = http.get(path, headers={"Range": "bytes=1-2", "If-Range": '"x"'})
    assert (other.status_code, other.content) == (200, CONTENT)


@pytest.mark.promise("files.content.ranges")
@pytest.mark.parametrize("content", [CONTENT, b""], ids=["some", "none"])
def test_a_range_outside_is_refused_with_the_size(http, content):
    path = upload(http, content)
    for asked in [f"bytes={len(content)}-", f"bytes={len(content) + 5}-{len(content) + 9}", "bytes=-0"]:
        refused = http.get("/v1" + path, headers={"Range": asked})
        assert (refused.status_code, refused.headers["content-range"]) == (416, f"bytes */{len(content)}")
        message = f"The requested range is not satisfiable: the file has {len(content)} bytes."
        assert refused.json()["error"] == {
            "message": message,
            "type": "invalid_request_error",
            "param": None,
            "code": "range_not_satisfiable",
        }
        rubra = http.get("/rubra" + path, headers={"Range": asked})
        assert (rubra.status_code, rubra.json()) == (416, {"detail": message})
        assert rubra.headers["content-range"] == f"bytes */{len(content)}"
