"""Starting the page, and ending it."""

from __future__ import annotations

import logging
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from survfuse.artifacts.package import Package, open_package
from survfuse.core.errors import UserInputError
from survfuse.exchange.optional import required
from survfuse.serve.means import Means

log = logging.getLogger(__name__)
CLOSING_S = 3  # for answers that are being sent when the server is stopped
MOST_CONNECTIONS = 200
HEADER_BYTES = 16384


def serve_package(
    means: Means, out: Path, host: str = "127.0.0.1", port: int = 8765, most_mib: int = 4096
) -> None:
    """Serve the page of a package until it is interrupted; every run is a folder of `out`.

    host: of which only this machine is reached by default. port: 0 takes a free one. most_mib: what
    one form may bring. Raises MissingResourceError where the libraries for it are not installed,
    UserInputError where the package is none, another server has `out`, or the address cannot be
    taken.
    """
    for module in ("starlette", "uvicorn", "python_multipart"):
        required(module, "serve")
    from survfuse.serve.guard import is_loopback
    from survfuse.serve.runs import own_folder

    package = open_package(means.package)
    refuse_missing(means.weights)
    with listening(host, port) as listener, own_folder(out):
        if not is_loopback(host):
            log.warning(
                "%s: other machines can reach this page, unencrypted and without a password; use "
                "it in a network where everybody may see the patients, or behind a proxy that asks "
                "who it is",
                host,
            )
        run_until_stopped(package, means, out, host, listener, most_mib)
    log.info("ended; reports are kept in %s", out)


def run_until_stopped(
    package: Package, means: Means, out: Path, host: str, listener: socket.socket, most_mib: int
) -> None:
    """Run the application on a socket."""
    import uvicorn

    from survfuse.serve.app import make_app
    from survfuse.serve.guard import names_of
    from survfuse.serve.uploads import Limits

    limits = Limits(most_bytes=most_mib << 20)
    app = make_app(package, means, out, names_of(host), secrets.token_urlsafe(32), limits)
    settings = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        log_config=None,
        access_log=False,  # addresses of runs are keys to them
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=HEADER_BYTES,
        timeout_graceful_shutdown=CLOSING_S,
    )
    shown, port = listener.getsockname()[:2]
    log.info(
        "http://%s:%d/ shows the page; Ctrl-C ends it", f"[{shown}]" * (":" in shown) or shown, port
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end it in the same way
    with suppress(KeyboardInterrupt):
        uvicorn.Server(settings).run(sockets=[listener])


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket at an address. Raises UserInputError where it cannot be taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise UserInputError(
            f"{host}, port {port}: cannot be taken ({error.strerror}); name another --port or "
            "--host"
        ) from None
    with listener:
        yield listener


def refuse_missing(weights: Path | None) -> None:
    """Raise UserInputError where the file of weights is not there; its hash is checked in use."""
    if weights is not None and not weights.is_file():
        raise UserInputError(f"{weights}: no such file; name the weights of the slide encoder")
