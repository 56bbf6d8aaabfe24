"""`python -m bench.search.embeddings --port N`: an upstream whose embeddings cost next to nothing."""

from __future__ import annotations

import argparse
import json
from base64 import b64encode
from typing import Any

import numpy as np

from bench.search.data import vector_of
from bench.servers import serve


async def app(scope: Any, receive: Any, send: Any) -> None:
    """POST /v1/embeddings; whatever else is asked is fine."""
    content = b""
    while (message := await receive()).get("more_body") or message.get("body"):
        content += message["body"]
        if not message.get("more_body"):
            break
    answer: Any = {"object": "list", "data": []}
    if scope["method"] == "POST":
        given = json.loads(content)["input"]
        texts = [given] if isinstance(given, str) else given
        answer["data"] = [
            {"object": "embedding", "index": index, "embedding": packed(text)}
            for index, text in enumerate(texts)
        ]
    body = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def packed(text: str) -> str:
    return b64encode(np.array(vector_of(text), "<f4").tobytes()).decode()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    serve(app, parser.parse_args().port)
