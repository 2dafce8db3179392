"""Who may talk to the server: this machine's browser with the token, on a page that the server itself sent.

A page of another site cannot read what this server says (same origin), but it could send to it: so each request must
name this host (against DNS rebinding), come from no other origin, and carry the token.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self' ws:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
OPEN = ("/page/",)  # the page's own scripts and styles, which anybody may have


class Guard:
    """Refuses what does not come from the page.

    Args:
        app: what is guarded.
        token: that requests must carry, as ``?token=`` or as header ``X-Token``.
        hosts: what ``Host`` may say, e.g. "127.0.0.1:8642".
    """

    def __init__(self, app: ASGIApp, token: str, hosts: frozenset[str]) -> None:
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or socket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        reason = self._refusal(scope)
        if reason is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4403, "reason": reason})
        else:
            await _refuse(send, reason)

    def _refusal(self, scope: Scope) -> str | None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("host") not in self._hosts:
            return "this address is not the studio's; open the one that `sian studio` printed"
        origin = headers.get("origin")
        if origin is None and scope["type"] == "websocket":
            return "expected a page's connection, found one without an origin"
        if origin is not None and origin not in {f"http://{host}" for host in self._hosts}:
            return "another site's page may not talk to the studio"
        if scope["type"] == "http" and scope["path"].startswith(OPEN):
            return None
        given = headers.get("x-token") or (parse_qs(scope["query_string"].decode("latin-1")).get("token") or [""])[0]
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return "the token is missing or wrong; open the address that `sian studio` printed"
        return None


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *HEADERS]
        await send(message)

    return sent


async def _refuse(send: Send, reason: str) -> None:
    head = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": head})
    await send({"type": "http.response.body", "body": reason.encode()})
