"""What stands before every page: who may ask, what browsers may do with an answer, and failures."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from survfuse.core.errors import RetryableError
from survfuse.core.system_errors import of_system
from survfuse.serve.failures import FULL, OF_PAGE, place_of
from survfuse.serve.uploads import RequestRefused

log = logging.getLogger(__name__)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",  # without any, browsers do not say where a form comes from
    "X-Content-Type-Options": "nosniff",
}
NOT_ALLOWED = "This page answers only under the address that it was started with."
ELSEWHERE = "This form was sent from another page, and is not taken."

Said = Callable[[int, str], Response]  # the page with a sentence, of a status


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def names_of(host: str) -> frozenset[str]:
    """The names under which a server at `host` may be asked; the address it is reached at may too.

    A page of another site can make its own name lead to this machine (DNS rebinding), but cannot
    make a browser ask for another name than its own.
    """
    if is_loopback(host):
        return LOOPBACK | {host}
    return LOOPBACK | {host, socket.gethostname().lower(), socket.getfqdn().lower()}


def host_in(netloc: str) -> str:
    """The host of HOST:PORT, empty where it is none."""
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""


class Guard:
    """Refuses what comes from elsewhere, sets the headers, and tells failures as sentences."""

    def __init__(self, app: ASGIApp, names: frozenset[str], said: Said) -> None:
        self.app = app
        self.names = names
        self.said = said

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        async def answer(status: int, sentence: str) -> None:
            if not begun:
                await self.said(status, sentence)(scope, receive, sending)

        if refusal := self.refusal(scope):
            await answer(*refusal)
            return
        try:
            await self.app(scope, receive, sending)
        except ClientDisconnect:
            pass
        except Exception as error:
            log.error("a request failed: %s", place_of(error))
            full = isinstance(of_system(error), RetryableError)
            await answer(*((507, FULL) if full else (500, OF_PAGE)))

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Why a request is not answered, if it is not."""
        headers = Headers(scope=scope)
        asked, reached = headers.get("host", ""), (scope.get("server") or ("",))[0]
        if host_in(asked) not in {*self.names, reached}:
            return 421, NOT_ALLOWED
        if scope["method"] in ("GET", "HEAD"):
            return None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        if origin is not None and urlsplit(origin).netloc != asked:
            return 403, ELSEWHERE
        return None if site in ("same-origin", "none") else (403, ELSEWHERE)


def refused_as_sentence(request: Request, error: Exception) -> Response:
    """The page of a request that was refused, or that asked for what is not there."""
    said: Said = request.app.state.said
    if isinstance(error, RequestRefused):
        return said(error.status, error.sentence)
    status = error.status_code if isinstance(error, HTTPException) else 500
    return said(status, SENTENCES.get(status, OF_PAGE))


SENTENCES = {
    404: "There is no such page. What was not predicted is removed after an hour, and when the "
    "program is started again; send it once more.",
    405: "This page cannot be asked for in this way.",
}
