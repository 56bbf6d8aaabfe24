"""Running the server: the socket, the event loop, what is said at the start, and a graceful stop."""

import gc
import logging
import socket
import sys
from contextlib import suppress

import uvicorn

from threadkeep import __version__
from threadkeep.app import create_app
from threadkeep.http.cork import CorkedProtocol
from threadkeep.settings import BadSettings, Settings

SECONDS_TO_FINISH = 30
"""How long requests under way have at a stop."""
BACKLOG = 2048

SAMPLE = """\
Threadkeep {version} serves the Assistants API on {address}/v1

  API key: {shown}
{note}
Try it in another terminal:

  curl {address}/v1/threads \\
    -H "Authorization: Bearer {key}" \\
    -H "Content-Type: application/json" \\
    -d '{{"messages": [{{"role": "user", "content": "Hello!"}}]}}'

Stop with Ctrl-C.
"""


def run(settings: Settings) -> int:
    """Serve until told to stop. Returns an exit status; raises what keeps the server from starting."""
    logging.basicConfig(
        level=logging.INFO, format="time=%(created).3f level=%(levelname)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # a start that fails is told below, once
    listener = listen(settings)

    async def announce(key: str | None) -> None:
        collect_rarely()
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        sys.stdout.write(welcome(address_of(listener), key))
        sys.stdout.flush()

    app = create_app(settings, announce)
    config = uvicorn.Config(
        app,
        loop="auto",
        http=CorkedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )
    server = uvicorn.Server(config)
    with suppress(SystemExit):  # uvicorn's way to end a start that failed
        server.run(sockets=[listener])
    if app.refusal:
        raise app.refusal
    return 0 if server.started else 1


def collect_rarely() -> None:
    """What start-up has made stays; what requests make is freed by counting, seldom by the collector."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def listen(settings: Settings) -> socket.socket:
    """A listening socket. Raises `BadSettings` where the address cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except (OSError, UnicodeError) as problem:
        listener.close()
        reason = getattr(problem, "strerror", None) or problem
        raise BadSettings(f"Cannot listen on {settings.host}, port {settings.port}: {reason}.") from problem
    listener.listen(BACKLOG)
    return listener


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def welcome(address: str, key: str | None) -> str:
    """What a person needs to know; the key only where it was made just now."""
    if key:
        note = "  (shown this once; only its hash is kept. `threadkeep keys create` makes another)\n"
        shown = pasted = key
    else:
        note = ""
        shown = "as set or shown before (`threadkeep keys create` makes another)"
        pasted = "$THREADKEEP_API_KEY"
    return SAMPLE.format(version=__version__, address=address, shown=shown, note=note, key=pasted)
