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


class InTurn(httpx.BaseTransport):
    """What a proxy does, where none is installed."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = itertools.cycle(ports)
        self._inner = httpx.HTTPTransport(verify=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(port=next(self._ports))
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


@contextmanager
def in_front_of(ports: Sequence[int], directory: Path) -> Iterator[httpx.Client]:
    """A client of a reverse proxy in front of the servers on these ports of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration = directory / "proxy.conf"
    if program := shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"):
        servers = " ".join(f"server 127.0.0.1:{one};" for one in ports)
        configuration.write_text(NGINX.format(directory=directory, servers=servers, port=port))
        command = [program, "-p", str(directory), "-c", str(configuration)]
    elif program := shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"):
        servers = "\n    ".join(f"server s{one} 127.0.0.1:{one}" for one in ports)
        configuration.write_text(HAPROXY.format(servers=servers, port=port))
        command = [program, "-db", "-f", str(configuration)]
    else:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=InTurn(ports)) as client:
            yield client
        return
    with (directory / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: answers(port))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=False) as client:
            yield client
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
