"""Several servers behind one address, each request to the next of them."""

import itertools
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.waiting import until

NGINX = """
daemon off; master_process off; pid {directory}/nginx.pid; error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
    uwsgi_temp_path {directory}; scgi_temp_path {directory};
    upstream threadkeep {{ {servers} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://threadkeep; proxy_set_header Host $host; }}
    }}
}}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen threadkeep
    bind 127.0.0.1:{port}
    balance roundrobin
    {servers}
"""


PLACES = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
INSTALLED = {name: program for name in ("nginx", "haproxy") if (program := shutil.which(name, path=PLACES))}
IN_TURN = "no-proxy-but-a-client-that-takes-turns"
KINDS = (IN_TURN, *INSTALLED)
"""What can stand in front of servers here. Tests are run with each, and their names say which it was."""


class InTurn(httpx.BaseTransport):
    """What a proxy does, on the client's side: also where none is installed."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = itertools.cycle(ports)
        self._inner = httpx.HTTPTransport(verify=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(port=next(self._ports))
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


@contextmanager
def in_front_of(ports: Sequence[int], directory: Path, kind: str) -> Iterator[httpx.Client]:
    """A client of one of `KINDS`, in front of the servers on these ports of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    if kind == IN_TURN:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=InTurn(ports)) as client:
            yield client
        return
    with (directory / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command_of(kind, ports, directory, port), stdout=log, stderr=log)
    try:
        until(lambda: answers(port))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=False) as client:
            yield client
    finally:
        process.kill()
        process.wait()


def command_of(kind: str, ports: Sequence[int], directory: Path, port: int) -> list[str]:
    """How to start a proxy on `port`, whose configuration is put into a directory."""
    configuration = directory / "proxy.conf"
    if kind == "nginx":
        servers = " ".join(f"server 127.0.0.1:{one};" for one in ports)
        configuration.write_text(NGINX.format(directory=directory, servers=servers, port=port))
        return [INSTALLED[kind], "-p", str(directory), "-c", str(configuration)]
    servers = "\n    ".join(f"server s{one} 127.0.0.1:{one}" for one in ports)
    configuration.write_text(HAPROXY.format(servers=servers, port=port))
    return [INSTALLED[kind], "-db", "-f", str(configuration)]


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
