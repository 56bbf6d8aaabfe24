"""The house as docs/architecture.md draws it: who may import whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import threadkeep

SOURCE = Path(threadkeep.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
ROOMS = (
    "projects",
    "idempotency",
    "files",
    "uploads",
    "threads",
    "messages",
    "assistants",
    "runs",
    "search",
    "models",
    "vector_stores",
    "virtual_keys",
)
DOORS = {"__init__", "model", "store", "actions", "endpoints"}
MORE_DOORS = {
    "messages": {"pages", "waiting"},
    "search": {"base", "fusion", "words"},
    "runs": {"claims", "progress", "steps"},
    "vector_stores": {"progress", "reembedding", "files"},
}
"""`progress`, `reembedding`: the writes of those who work a run, or a file; the others: more rows."""
PARTS = {"request", "multipart", "ranges", "streaming"}
"""Of http: what endpoints take and give."""
CONCRETE = {"threadkeep.storage.sqlite": {"app"}, "threadkeep.app": {"cli", "serving"}}

MAY_IMPORT = {
    "ground": {"ground"},
    "model": {"ground", "model"},
    "wire": {"ground", "model", "wire"},
    "interface": {"ground", "model", "interface"},
    "storage": {"ground", "interface", "storage"},
    "store": {"ground", "model", "interface"},
    "context": {"ground", "interface", "storage"},
    "actions": {"ground", "model", "interface", "storage", "context", "store", "actions"},
    "providers": {"ground", "model", "interface", "providers"},
    "engine": {"ground", "model", "interface", "storage", "context", "store", "actions", "engine"},
    "ingestion": {
        "ground",
        "model",
        "interface",
        "storage",
        "context",
        "store",
        "actions",
        "engine",
        "ingestion",
    },
    "request": {"ground", "model", "interface", "context", "wire", "request"},
    "endpoints": {"ground", "model", "interface", "store", "actions", "request", "endpoints"},
    "http": {"ground", "model", "context", "wire", "actions", "endpoints", "request", "http"},
}
"""Each kind of module, and the kinds that it may import: http -> endpoints -> actions -> store -> storage.
What stands above all (`app`, `serving`, the commands) may import anything."""

BOUND = {
    "apsw": {"storage/sqlite.py"},
    "sqlite3": set(),
    "sqlite_vec": set(),
    "obstore": {"storage/blobs.py", "storage/bucket.py"},
    "asyncpg": {
        "storage/postgres/__init__.py",
        "storage/postgres/connection.py",
        "storage/postgres/hosts.py",
        "storage/postgres/transactions.py",
    },
    "uvicorn": {"serving.py", "http/cork.py", "http/heads.py"},
    "python_multipart": {"http/multipart.py"},
    "aiohttp": {"providers/chat.py", "providers/upstream.py"},
    "toktok": {"engine/tokens.py"},
    "cryptography": {"virtual_keys/model.py"},
    "onnx": {"providers/local/bert.py"},
    "onnxruntime": {"providers/local/model.py"},
    "tokenizers": {"providers/local/model.py"},
    "lxml": {"ingestion/markup.py", "ingestion/office.py"},
    "olefile": {"ingestion/office.py", "ingestion/word97.py"},
    "pypdf": {"ingestion/pdf.py"},
    "charset_normalizer": {"ingestion/legacy.py"},
}
"""Libraries that one room alone knows."""


def kind_of(module: str) -> str:
    """The kind of a module, by its place."""
    place = module.split(".")[1:]
    match place:
        case ["runs" | "vector_stores", "progress"] | ["vector_stores", "reembedding"]:
            return "actions"
        case ["vector_stores", "files"] | ["messages", "pages" | "waiting"] | ["runs", "claims" | "steps"]:
            return "store"
        case ["search", "base"]:
            return "actions"
        case ["search", "fusion" | "words"] | ["storage", "packing"]:
            return "ground"
        case [room, door] if room in ROOMS:
            return door
        case ["wire", *_]:
            return "wire"
        case (
            ["storage", "chunks" | "database" | "tombstones" | "within"]
            | ["engine" | "providers", "base"]
            | ["engine", "retelling"]
        ):
            return "interface"
        case ["engine", "events"]:
            return "model"
        case ["engine" | "providers" | "ingestion" as kind, *_]:
            return kind
        case ["storage", *_]:
            return "storage"
        case ["http", part] if part in PARTS:
            return "request"
        case ["http", *_]:
            return "http"
        case ["context"]:
            return "context"
        case ["sweeping"]:
            return "actions"
        case ["app" | "cli" | "serving" | "supervisor" | "__main__"] | ["api_command", *_]:
            return "top"
    return "ground"


def module_of(path: Path) -> str:
    parts = ("threadkeep", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path) for path in FILES}


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside its functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in MODULES else node.module


def own_imports(path: Path) -> set[str]:
    return {one for one in imports_of(path) if one.partition(".")[0] == "threadkeep"}


EVERY_FILE = pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(SOURCE)) for path in FILES])


@EVERY_FILE
def test_imports_go_one_way(path):
    kind = kind_of(module_of(path))
    if kind == "top":
        return
    beyond = {one for one in own_imports(path) if kind_of(one) not in MAY_IMPORT.get(kind, {"ground"})}
    assert {one for one in beyond if not (kind == "store" and are_of_one_room(one, module_of(path)))} == set()


def are_of_one_room(*stores: str) -> bool:
    """Whether modules keep the rows of the same room: these may know each other."""
    kinds, rooms = {kind_of(one) for one in stores}, {one.rpartition(".")[0] for one in stores}
    return kinds == {"store"} and len(rooms) == 1


@EVERY_FILE
def test_a_library_is_known_by_its_own_room_alone(path):
    place = path.relative_to(SOURCE).as_posix()
    foreign = {one.partition(".")[0] for one in imports_of(path)} & set(BOUND)
    assert {library for library in foreign if place not in BOUND[library]} == set()


def test_every_library_that_is_bound_is_used_where_it_is_bound():
    for library, places in BOUND.items():
        for place in places:
            assert library in {one.partition(".")[0] for one in imports_of(SOURCE / place)}


@EVERY_FILE
def test_concrete_classes_are_known_to_those_who_put_the_house_together(path):
    known = {module for module in own_imports(path) if module in CONCRETE}
    assert {module for module in known if path.stem not in CONCRETE[module]} == set()


def test_wire_is_pure():
    """No input or output, no clock, no chance: the same object gives the same text."""
    impure = {"asyncio", "os", "io", "pathlib", "socket", "time", "datetime", "random", "secrets", "logging"}
    found = {
        path.name: imported
        for path in (SOURCE / "wire").glob("*.py")
        if (imported := impure & {one.partition(".")[0] for one in imports_of(path)})
    }
    assert found == {}


@pytest.mark.parametrize("room", [name for name in ROOMS if (SOURCE / name).is_dir()])
def test_every_room_has_the_same_doors(room):
    assert {
        path.stem for path in (SOURCE / room).iterdir() if path.suffix == ".py"
    } <= DOORS | MORE_DOORS.get(room, set())


OF_A_ROOM = [path for path in FILES if path.relative_to(SOURCE).parts[0] in (*ROOMS, "storage", "engine")]


@pytest.mark.parametrize("path", OF_A_ROOM, ids=[str(path.relative_to(SOURCE)) for path in OF_A_ROOM])
def test_no_room_asks_which_dialect_is_spoken(path):
    """A dialect differs in its table, never by an `if` in a room."""
    names = {"openai_v1", "openai_v2", "rubra", "assistants=v1", "assistants=v2"}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant):
            assert node.value not in names
        tested = {ast.If: "test", ast.IfExp: "test", ast.Match: "subject"}.get(type(node))
        asked = getattr(node, tested) if tested else node if isinstance(node, ast.Compare) else None
        assert asked is None or "dialect" not in ast.unparse(asked)


def test_only_the_edge_chooses_a_dialect():
    chosen = {"threadkeep.wire.openai_v1", "threadkeep.wire.openai_v2", "threadkeep.wire.rubra"}
    who = {path.relative_to(SOURCE).as_posix() for path in FILES if chosen & own_imports(path)}
    assert {one for one in who if not one.startswith("wire/")} == {"http/caller.py"}
