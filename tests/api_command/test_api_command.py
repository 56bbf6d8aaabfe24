"""`threadkeep api` against a real HTTP server that records what arrives; and the shapes of its output."""

import argparse
import csv
import email
import email.policy
import http.client
import io
import json
import socket
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from threadkeep import api_command
from threadkeep.api_command.request import target
from threadkeep.api_command.table import as_table, cut, visible, width, write_all

KEY = "sk-secret-of-this-test"

MESSAGE = {
    "id": "msg_abc",
    "object": "thread.message",
    "assistant_id": None,
    "role": "user",
    "content": [{"type": "text", "text": {"value": "Hello, 世界", "annotations": []}}],
    "attachments": [{"file_id": "file-1", "tools": [{"type": "file_search"}]}],
    "metadata": {"by": "us"},
}


@dataclass
class Request:
    method: str
    target: str
    headers: email.message.Message
    body: bytes


@dataclass
class Server:
    """What to answer next, and what arrived."""

    url: str = ""
    status: int = 200
    body: bytes = b"{}"
    kind: str = "application/json"
    announced: int | None = None
    requests: list[Request] = field(default_factory=list)

    def answer(self, document, status=200):
        self.body, self.status = json.dumps(document).encode(), status

    @property
    def last(self):
        return self.requests[-1]


class QuietServer(ThreadingHTTPServer):
    """Keeps its own standard error out of what the tests compare."""

    def handle_error(self, request, client_address):
        pass


@pytest.fixture
def server():
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.requests.append(Request(self.command, self.path, self.headers, body))
            self.send_response(state.status)
            self.send_header("Content-Type", state.kind)
            self.send_header("Content-Length", str(state.announced or len(state.body)))
            self.end_headers()
            self.wfile.write(state.body)

        do_GET = do_POST = do_DELETE = handle_any

        def log_message(self, format, *args):
            pass

    with QuietServer(("127.0.0.1", 0), Handler) as http_server:
        state.url = f"http://127.0.0.1:{http_server.server_port}/v1"
        thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http_server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("THREADKEEP_BASE_URL", "OPENAI_BASE_URL", "THREADKEEP_API_KEY", "OPENAI_API_KEY", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def call(server, capfdbinary, monkeypatch):
    """Run the command against the server; returns exit status, standard output and standard error."""

    def run(*argv):
        monkeypatch.setenv("THREADKEEP_BASE_URL", server.url)
        return invoke(capfdbinary, *argv)

    return run


def invoke(capture, *argv):
    parser = argparse.ArgumentParser(prog="threadkeep")
    api_command.add_parser(parser.add_subparsers(required=True))
    try:
        args = parser.parse_args(["api", *map(str, argv)])
        status = args.run(args)
    except SystemExit as stop:
        status = stop.code
    out, err = capture.readouterr()
    return status, out.decode(), err.decode()


def feed(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


# --- what is sent -----------------------------------------------------------------------------------------


def test_a_call_without_options_is_a_v2_request_to_the_server_of_the_environment(server, call, monkeypatch):
    monkeypatch.setenv("THREADKEEP_API_KEY", KEY)
    assert call("post", "threads")[0] == 0
    assert (server.last.method, server.last.target, server.last.body) == ("POST", "/v1/threads", b"")
    assert server.last.headers["OpenAI-Beta"] == "assistants=v2"
    assert server.last.headers["Authorization"] == f"Bearer {KEY}"
    assert server.last.headers["Content-Length"] == "0"
    assert server.last.headers["User-Agent"].startswith("threadkeep/")


@pytest.mark.parametrize(
    ("beta", "header"), [("v1", "assistants=v1"), ("v2", "assistants=v2"), ("none", None)]
)
def test_beta_chooses_the_version_header(server, call, beta, header):
    call("GET", "/threads", "--beta", beta)
    assert server.last.headers["OpenAI-Beta"] == header


def test_options_win_over_the_environment_and_ours_over_openai_s(server, call, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    call("GET", "/threads")
    assert server.last.headers["Authorization"] == "Bearer sk-other"
    monkeypatch.setenv("THREADKEEP_API_KEY", "sk-ours")
    call("GET", "/threads")
    assert server.last.headers["Authorization"] == "Bearer sk-ours"
    call("GET", "/threads", "--api-key", "sk-option\n", "--base-url", f"{server.url}/")
    assert server.last.headers["Authorization"] == "Bearer sk-option"
    call("GET", "/threads", "--api-key", "")
    assert server.last.headers["Authorization"] is None


def test_the_environment_of_the_openai_client_is_enough(server, capfdbinary, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    assert invoke(capfdbinary, "GET", "/threads")[0] == 0
    assert server.last.target == "/v1/threads"


def test_a_header_is_added_or_replaces_ours(server, call):
    call(
        "GET", "/threads", "--api-key", KEY,
        "--header", "x-portkey-virtual-key: one", "--header", "authorization: Basic eA==",
    )  # fmt: skip
    assert server.last.headers["x-portkey-virtual-key"] == "one"
    assert server.last.headers.get_all("authorization") == ["Basic eA=="]


@pytest.mark.parametrize(
    ("base", "path", "expected"),
    [
        ("/v1", "threads", "/v1/threads"),
        ("/v1", "/threads", "/v1/threads"),
        ("/v1", "/v1/threads", "/v1/threads"),
        ("/v1/", "v1/threads", "/v1/threads"),
        ("", "/threads", "/v1/threads"),
        ("/", "/v1/threads", "/v1/threads"),
        ("/openai/v1", "/v1/threads", "/openai/v1/threads"),
        ("/openai/v1", "/openai/v1/threads", "/openai/v1/threads"),
        ("/v1", "/rubra/threads", "/rubra/threads"),
        ("/rubra", "/threads", "/rubra/threads"),
        ("/rubra/v1", "/rubra/v1/threads", "/rubra/v1/threads"),
        ("/v1", "healthz", "/healthz"),
        ("/v1", "/v1x/y", "/v1/v1x/y"),
        ("/v1", "/threads/ü #%20", "/v1/threads/%C3%BC%20%23%20"),
        ("/v1", "/threads?limit=2&order=asc", "/v1/threads?limit=2&order=asc"),
    ],
)
def test_paths_are_joined_without_doubling(base, path, expected):
    assert target(base, path) == expected


def test_queries_are_encoded_and_follow_those_of_the_path(server, call):
    call("GET", "/threads?limit=2", "--query", "after=a&b c", "--query", "include[]=x", "--query", "e=")
    assert server.last.target == "/v1/threads?limit=2&after=a%26b%20c&include%5B%5D=x&e="


@pytest.mark.parametrize("source", ["argument", "file", "stdin", "file with byte order mark", "utf-16 file"])
def test_a_body_is_sent_as_given_in_utf8(server, call, source, tmp_path, monkeypatch):
    text = '{"role":  "user", "content": "Grüße \\ud83d"}'
    encoding = {"file with byte order mark": "utf-8-sig", "utf-16 file": "utf-16"}.get(source, "utf-8")
    body, path = text.encode(encoding), tmp_path / "body.json"
    path.write_bytes(body)
    feed(monkeypatch, body)
    value = {"argument": text, "stdin": "@-"}.get(source, f"@{path}")
    assert call("POST", "/threads/t/messages", "--body", value)[0] == 0
    assert server.last.body.decode() == text
    assert server.last.headers["Content-Type"] == "application/json"


def test_a_form_carries_fields_and_files(server, call, tmp_path):
    path = tmp_path / 'a "name".txt'
    path.write_bytes(b"x\r\n" * 100_000)
    assert call("POST", "/files", "--form", "purpose=assistants", "--file", f"file=@{path}")[0] == 0
    form = email.message_from_bytes(
        f"Content-Type: {server.last.headers['Content-Type']}\n\n".encode() + server.last.body,
        policy=email.policy.HTTP,
    )
    purpose, file = form.iter_parts()
    assert purpose.get_param("name", header="content-disposition") == "purpose"
    assert purpose.get_payload(decode=True) == b"assistants"
    assert file.get_param("name", header="content-disposition") == "file"
    assert file.get_content_type() == "text/plain"
    assert b'filename="a %22name%22.txt"' in server.last.body
    assert file.get_payload(decode=True) == path.read_bytes()
    assert int(server.last.headers["Content-Length"]) == len(server.last.body)


# --- what is printed --------------------------------------------------------------------------------------


def test_raw_is_one_row_of_body_and_status(server, call):
    server.answer(MESSAGE)
    status, out, err = call("GET", "/threads/t/messages/msg_abc")
    assert (status, err) == (0, "")
    assert out.startswith("body,status\r\n")
    assert rows_of(out) == [{"body": server.body.decode(), "status": "200"}]


def test_raw_of_an_error_is_the_same_row(server, call):
    server.answer({"error": {"message": "No.", "type": "invalid_request_error"}}, 400)
    status, out, _ = call("GET", "/threads/t")
    assert status == 1
    assert rows_of(out) == [{"body": server.body.decode(), "status": "400"}]


def test_json_is_the_body_indented_with_unsafe_characters_escaped(server, call):
    document = {"text": "ü\x1b[2J\x7f\x9b31m\u202e", "lone": "\ud800", "n": [1, 2]}
    server.answer(document)
    status, out, _ = call("GET", "/x", "--output", "json")
    assert status == 0
    assert json.loads(out) == document
    assert '\n  "text": "ü\\u001b[2J\\u007f\\u009b31m\\u202e"' in out


def test_json_of_an_error_is_printed_too(server, call):
    server.answer({"error": {"message": "No."}}, 404)
    status, out, _ = call("GET", "/x", "--output", "json")
    assert (status, json.loads(out)) == (1, {"error": {"message": "No."}})


@pytest.mark.parametrize("body", [b"plain text", b"", b"[" * 100_000])
def test_json_of_something_else_says_so(server, call, body):
    server.body, server.kind = body, "text/plain"
    status, out, err = call("GET", "/files/f/content", "--output", "json")
    assert (status, out) == (1, "")
    assert "is not JSON" in err


def test_csv_of_a_list_has_a_row_an_object_with_complete_values(server, call):
    long = 'line\r\n, "quoted" \x1b' * 1000
    other = {"id": "msg_b", "content": [{"type": "text", "text": long}, {"type": "refusal", "refusal": "no"}]}
    server.answer({"object": "list", "data": [MESSAGE, other], "has_more": False})
    status, out, err = call("GET", "/threads/t/messages", "--output", "csv")
    assert (status, err) == (0, "")
    first, second = rows_of(out)
    assert first == {
        "id": "msg_abc",
        "object": "thread.message",
        "assistant_id": "",
        "role": "user",
        "content": "Hello, 世界",
        "attachments": '[{"file_id":"file-1","tools":[{"type":"file_search"}]}]',
        "metadata": '{"by":"us"}',
    }
    assert second["content"] == f"{long}\nno"


def test_csv_shows_parts_that_are_not_text_as_json(server, call):
    image = {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "auto"}}
    server.answer({"content": [{"type": "text", "text": {"value": "See"}}, image, "odd"], "n": 1, "ok": True})
    _, out, _ = call("GET", "/x", "--output", "csv")
    content = 'See\n{"type":"image_file","image_file":{"file_id":"file-1","detail":"auto"}}\nodd'
    assert rows_of(out) == [{"content": content, "n": "1", "ok": "true"}]


def test_the_next_page_of_a_list_is_suggested_beside_the_output(server, call):
    server.answer({"object": "list", "data": [{"id": "a"}], "last_id": "a", "has_more": True})
    assert call("GET", "/threads", "--output", "csv") == (
        0,
        "id\r\na\r\n",
        "threadkeep api: there is more: --query after=a\n",
    )


@pytest.mark.parametrize(("output", "expected"), [("csv", ""), ("table", "(no rows)\n")])
def test_an_empty_list_has_no_rows(server, call, output, expected):
    server.answer({"object": "list", "data": [], "has_more": False})
    assert call("GET", "/threads", "--output", output) == (0, expected, "")


def test_a_table_aligns_the_objects_of_a_list(server, call):
    server.answer(
        {"data": [{"id": "a", "role": "assistant", "text": "世界"}, {"id": "bbb", "text": "x", "n": 1}]}
    )
    _, out, _ = call("GET", "/x", "--output", "table")
    assert out == "id   role       text  n\na    assistant  世界\nbbb             x     1\n"


def test_a_table_of_one_object_shows_a_message_s_text(server, call):
    server.answer(MESSAGE)
    _, out, _ = call("GET", "/x", "--output", "table")
    header, row = out.splitlines()
    assert header.split() == list(MESSAGE)
    assert "Hello, 世界" in row
    assert '{"by":"us"}' in row


def test_a_table_is_cut_to_the_terminal_and_names_what_it_leaves_out(server, call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    server.answer(MESSAGE | {"content": "word " * 50_000})
    _, out, _ = call("GET", "/x", "--output", "table")
    header, row, note = out.splitlines()
    assert header.split() == ["id", "role", "content"]
    assert row.startswith("msg_abc  user  word word")
    assert width(row) == 60
    assert row.endswith("…")
    assert note == "(not shown: object, assistant_id, attachments, metadata)"


def test_a_table_that_goes_elsewhere_keeps_every_column_and_bounds_its_cells():
    header, row = as_table([{"content": "x" * 500, "other": "y"}], None).splitlines()
    assert header.split() == ["content", "other"]
    assert row == "x" * 79 + "…  y"


def test_a_table_cannot_drive_the_terminal(server, call):
    server.answer({"i\x1bd": "a\x1b]0;owned\x07\nb\x9b1m\u202e"})
    _, out, _ = call("GET", "/x", "--output", "table")
    assert out.splitlines() == ["i\\x1bd", "a\\x1b]0;owned\\x07\\nb\\x9b1m\\u202e"]


@pytest.mark.parametrize("output", ["raw", "csv"])
def test_csv_cannot_drive_a_terminal_either(server, call, monkeypatch, output):
    server.body, server.kind = b"a\x1b[2J\nb", "text/plain"
    assert "\x1b" in call("GET", "/x", "--output", output)[1]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "a\\x1b[2J\nb" in call("GET", "/x", "--output", output)[1]


@pytest.mark.parametrize("output", ["csv", "table"])
def test_an_answer_of_plain_text_is_one_row(server, call, output):
    server.body, server.kind = b"hello", "text/plain"
    status, out, _ = call("GET", "/files/f/content", "--output", output)
    assert (status, out.replace(",", " ").split()) == (0, ["body", "status", "hello", "200"])


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"error": {"message": "Bad.", "type": "invalid_request_error", "param": "role", "code": None}},
            [("Bad.", "invalid_request_error", "role", "")],
        ),
        ({"message": "Bad.", "type": "t", "param": None, "code": "c"}, [("Bad.", "t", "", "c")]),
        ({"detail": "Gone."}, [("Gone.", "", "", "")]),
        (
            {
                "detail": [
                    {"loc": ["body", "content", 0], "msg": "Field required", "type": "missing"},
                    {"loc": ["body", "role"], "msg": "Odd", "type": "enum"},
                ]
            },
            [("Field required", "missing", "body.content.0", ""), ("Odd", "enum", "body.role", "")],
        ),
        ({"error": "short"}, [("short", "", "", "")]),
        ({"error": {}}, [('{"error": {}}', "", "", "")]),
        ([], [("[]", "", "", "")]),
    ],
)
def test_errors_of_every_dialect_have_the_same_columns(server, call, document, expected):
    server.answer(document, 422)
    status, out, _ = call("GET", "/x", "--output", "csv")
    columns = ("message", "type", "param", "code", "status")
    assert status == 1
    assert rows_of(out) == [dict(zip(columns, (*row, "422"), strict=True)) for row in expected]


def test_the_message_of_an_error_is_not_cut(server, call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    server.answer({"error": {"message": "word " * 30 + "end", "type": "invalid_request_error"}}, 400)
    status, out, _ = call("GET", "/x", "--output", "table")
    assert status == 1
    assert out.split()[:5] == ["message", "type", "param", "code", "status"]
    assert "word end  invalid_request_error" in out


def test_an_error_that_is_not_json_becomes_its_message(server, call):
    server.body, server.status, server.kind = b"<h1>Bad Gateway</h1>", 502, "text/html"
    assert call("GET", "/x", "--output", "csv")[1] == (
        "message,type,param,code,status\r\n<h1>Bad Gateway</h1>,,,,502\r\n"
    )


def test_a_redirect_is_an_answer_and_not_followed(server, call):
    server.status = 302
    assert call("GET", "/x")[0] == 1
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"a\0b"])
def test_bytes_that_are_not_text_are_not_printed(server, call, body):
    server.body, server.kind = body, "application/octet-stream"
    status, out, err = call("GET", "/files/f/content")
    assert (status, out) == (1, "")
    assert f"{len(body)} bytes that are not text: --save FILE" in err


def test_save_writes_the_exact_bytes(server, call, tmp_path):
    server.body = bytes(range(256)) * 1000
    path = tmp_path / "out.bin"
    assert call("GET", "/files/f/content", "--save", path) == (
        0,
        "",
        f"threadkeep api: saved 256000 bytes to {path}\n",
    )
    assert path.read_bytes() == server.body


def test_save_can_write_to_standard_output(server, call):
    server.body = b"one\r\ntwo"
    assert call("GET", "/files/f/content", "--save", "-")[:2] == (0, "one\r\ntwo")


def test_save_prints_an_error_and_leaves_the_file_alone(server, call, tmp_path):
    server.answer({"error": {"message": "No."}}, 404)
    status, out, _ = call("GET", "/files/f/content", "--save", tmp_path / "out")
    assert (status, rows_of(out)[0]["status"]) == (1, "404")
    assert not (tmp_path / "out").exists()


# --- what goes wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ((), "required"),
        (("GET",), "PATH"),
        (("G T", "/x"), "a word such as GET"),
        (("GET", "/x", "--output", "xml"), "invalid choice"),
        (("GET", "/x", "--query", "limit"), "NAME=VALUE"),
        (("GET", "/x", "--timeout", "nan"), "number of seconds"),
        (("GET", "/x", "--header", KEY), "'Name: value'"),
        (("GET", "/x", "--header", f"X-Key: {KEY}\r\nY: z"), "the value of X-Key"),
        (("GET", "/x", "--api-key", f"{KEY}\r\nX: y"), "the API key has characters"),
        (("GET", "/x", "--base-url", "ftp://host"), "must look like http://"),
        (("GET", "/x", "--base-url", "http://host:nine"), "must look like http://"),
        (("GET", "/x", "--base-url", f"http://user:{KEY}@host/v1"), "must not hold a user"),
        (("POST", "/x", "--body", "{,}"), "--body is not JSON: Expecting property name"),
        (("POST", "/x", "--body", "@no/such/file"), "cannot read no/such/file: No such file"),
        (("POST", "/x", "--body", "[" * 100_000), "--body is not JSON"),
        (("POST", "/x", "--file", "file=@no/such/file"), "cannot read no/such/file: No such file"),
        (("POST", "/x", "--file", "file=@."), "only a regular file"),
        (("POST", "/x", "--file", "a=b", "--body", "{}"), "not allowed with"),
    ],
)
def test_what_cannot_be_sent_is_a_usage_error_that_keeps_the_key(server, call, argv, expected):
    status, out, err = call(*argv)
    assert (status, out) == (2, "")
    assert expected in err
    assert KEY not in err
    assert server.requests == []


def test_a_place_that_cannot_be_written_is_said(call, tmp_path):
    status, _, err = call("GET", "/x", "--save", tmp_path / "no" / "file")
    assert status == 2
    assert "cannot write" in err


def test_no_server_is_one_sentence_and_exit_3(capfdbinary):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can answer here
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        status, out, err = invoke(capfdbinary, "GET", "/x", "--base-url", f"{url}/v1", "--api-key", KEY)
    assert (status, out, err) == (3, "", f"threadkeep api: no connection to {url}: Connection refused\n")


def test_a_server_that_stays_silent_is_exit_3(capfdbinary):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        status, out, err = invoke(capfdbinary, "GET", "/x", "--base-url", url, "--timeout", "0.05")
    assert (status, out, err) == (3, "", f"threadkeep api: no answer from {url}: timed out\n")


def test_a_server_that_does_not_speak_tls_is_exit_3(server, capfdbinary):
    url = server.url.replace("http:", "https:")
    status, _, err = invoke(capfdbinary, "GET", "/x", "--base-url", url)
    assert status == 3
    assert err.startswith("threadkeep api: no connection to https://127.0.0.1:")


def test_an_answer_that_breaks_off_is_exit_3(server, call, tmp_path):
    server.body, server.announced = b"half", 100
    status, out, err = call("GET", "/x")
    assert (status, out) == (3, "")
    assert "the answer broke off" in err
    status, out, err = call("GET", "/x", "--save", tmp_path / "part")
    assert (status, out) == (3, "")
    assert f"{tmp_path / 'part'} is incomplete" in err


@pytest.mark.parametrize("failure", [BrokenPipeError, ConnectionResetError])
def test_the_answer_to_a_refused_upload_is_still_read(server, call, monkeypatch, failure):
    """A server may answer and close before it has read a whole form: sending fails, the answer is there."""
    whole = http.client.HTTPConnection.request

    def interrupted(*args, **kwargs):
        whole(*args, **kwargs)
        raise failure

    monkeypatch.setattr(http.client.HTTPConnection, "request", interrupted)
    server.status = 413
    status, out, _ = call("POST", "/files", "--form", "purpose=assistants")
    assert (status, rows_of(out)) == (1, [{"body": "{}", "status": "413"}])


def test_help_shows_examples_and_exit_statuses(capfdbinary):
    status, out, _ = invoke(capfdbinary, "--help")
    assert status == 0
    assert "threadkeep api POST /threads/thread_abc/messages --body" in out
    assert "no connection to the server" in out


# --- the rules of a table ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("世界世界", 6, "世界…"),
        ("世界", 4, "世界"),
        ("é" * 3, 2, "é…"),
    ],
)
def test_cut_counts_columns_of_the_terminal(text, size, expected):
    assert cut(text, size) == expected


def test_all_of_the_output_is_written_where_one_write_takes_only_a_part():
    class Pipe(io.BytesIO):
        def write(self, data):
            return super().write(bytes(data[:3]))

    sink = Pipe()
    write_all(sink, b"0123456789")
    assert sink.getvalue() == b"0123456789"


def test_visible_keeps_what_it_is_told_to_keep():
    assert visible("a\tb\r\n\x00é") == "a\\tb\\r\\n\\x00é"
    assert visible("a\tb\r\n", keep="\t\n") == "a\tb\\r\n"


@pytest.mark.parametrize("limit", range(1, 120, 7))
def test_no_line_of_a_cut_table_is_wider_than_the_terminal(limit):
    rows = [{"id": "msg_" + "a" * 24, "created_at": 1_700_000_000, "content": "世界 " * 40, "metadata": {}}]
    lines = as_table(rows, limit).splitlines()
    assert max(map(width, lines[:2])) <= limit


def test_empty_columns_are_the_first_to_be_left_out():
    text = as_table([{"id": "a", "status": None, "last": "told"}], 12)
    assert text == "id  last\na   told\n(not shown: status)\n"
