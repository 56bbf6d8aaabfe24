"""A bucket on loopback: moto's S3 server, which can be told to refuse.

Google's storage speaks the same XML, so this serves as one, too.
"""

import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET = "threadkeep"
SIGNATURE = "AWS id:signature"
"""Nobody checks it, but there must be one."""
REFUSAL = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class S3:
    """`address` serves the bucket `BUCKET`."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, name="s3")
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self.requests: list[str] = []
        """`METHOD /path?query` of each request that came over the network."""
        self.denied: Callable[[str], bool] = lambda request: False
        """Which of them are answered with 403."""

    def _answer(self, environ, start_response):
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}"
        self.requests.append(request)
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        if not authorization.startswith("AWS"):  # Google's clients come with another, or with none
            environ["HTTP_AUTHORIZATION"] = SIGNATURE
        if not self.denied(request):
            return self._moto(environ, start_response)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("403 Forbidden", [("Content-Length", str(len(REFUSAL)))])
        return [REFUSAL]

    def __enter__(self) -> "S3":
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it has a line for each request
        self._thread.start()
        httpx.put(f"{self.address}/{BUCKET}").raise_for_status()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """What a client of it is told."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }

    def objects(self) -> list[str]:
        """The keys of what is in the bucket."""
        return self._keys("list-type=2")

    def unfinished(self) -> list[str]:
        """The keys of multipart uploads that are neither completed nor aborted."""
        return self._keys("uploads")

    def _keys(self, query: str) -> list[str]:
        answer = httpx.get(f"{self.address}/{BUCKET}?{query}").raise_for_status()
        return re.findall("<Key>(.*?)</Key>", answer.text)

    def put(self, key: str, content: bytes) -> None:
        """Change an object behind the server's back."""
        httpx.put(f"{self.address}/{BUCKET}/{key}", content=content).raise_for_status()

    def google(self, directory: Path) -> dict[str, str]:
        """What a client of Google's storage is told, with an account that is put into a directory."""
        path = directory / "account.json"
        nobody = {"client_email": "", "private_key": "", "private_key_id": ""}
        path.write_text(json.dumps({"gcs_base_url": self.address, "disable_oauth": True, **nobody}))
        return {"GOOGLE_SERVICE_ACCOUNT": str(path), "GOOGLE_ALLOW_HTTP": "true"}


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    """A bucket, with the variables that lead to it."""
    with S3() as one, pytest.MonkeyPatch.context() as patch:
        for name, value in one.environment.items():
            patch.setenv(name, value)
        yield one


@pytest.fixture
def denied(s3: S3) -> Iterator[S3]:
    """The same bucket; what a test has it refuse ends with the test."""
    yield s3
    s3.denied = lambda request: False
