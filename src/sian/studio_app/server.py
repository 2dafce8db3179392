"""The studio's web side: the page, its files, and a WebSocket for gestures one way and pixels the other."""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from sian.errors import BadInput, SianError
from sian.files import encode_png
from sian.studio_app import errands, messages, saving
from sian.studio_app.all_styles import Sheets
from sian.studio_app.examples import NAMES
from sian.studio_app.guard import Guard
from sian.studio_app.inventing import organs
from sian.studio_app.opening import MOST_BYTES, safe_name
from sian.studio_app.snapshots import in_words
from sian.studio_app.thumbnails import thumbnail
from sian.synthesis.labels import png_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from sian.studio_app.studio import Studio

PAGE = Path(__file__).parent / "page"
ANSWERS = ("welcome", "done", "refused")  # message types that a page counts on
MOST_WAITING = 2000  # messages that a page may be behind before it is told all again


def application(studio: Studio, token: str, hosts: frozenset[str]) -> ASGIApp:
    """The web application.

    Args:
        studio: which is started and closed with it.
        token: that each request must carry.
        hosts: what this server may be called, e.g. "127.0.0.1:8642".
    """
    sheets = Sheets(studio)

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        studio.start()
        yield
        await run_in_threadpool(studio.close)

    async def index(_: Request) -> Response:
        return HTMLResponse((PAGE / "index.html").read_text(encoding="utf-8"))

    async def facts(_: Request) -> Response:
        info = studio.model.info
        told = {"classes": list(info.classes), "tissue": studio.model.takes_tissue}
        return JSONResponse({"organs": organs(), "examples": list(NAMES), **told})

    async def thumb(request: Request) -> Response:
        future = thumbnail(studio, request.query_params.get("style", ""))
        content = await asyncio.wrap_future(future)
        return Response(content, media_type="image/webp")

    async def save(request: Request) -> Response:
        what = request.path_params["what"]
        if what not in saving.FILES:
            raise BadInput(f"there is nothing to save called {what!r}; known: {', '.join(saving.FILES)}")
        file = await run_in_threadpool(saving.FILES[what], studio)
        head = {"content-disposition": f"attachment; filename*=UTF-8''{quote(file.name)}"}
        return Response(file.content, media_type=file.kind, headers=head)

    async def keep(_: Request) -> Response:
        return JSONResponse({"sentence": await run_in_threadpool(saving.item, studio)})

    async def lines(_: Request) -> Response:
        return JSONResponse(saving.lines(studio))

    async def sheet(_: Request) -> Response:
        return JSONResponse(await run_in_threadpool(sheets.begin))

    async def styled(request: Request) -> Response:
        future = sheets.picture(request.path_params["number"], request.path_params["place"])
        return Response(await asyncio.wrap_future(future), media_type="image/webp")

    async def contact(request: Request) -> Response:
        content = await asyncio.wrap_future(sheets.png(request.path_params["number"]))
        return Response(content, media_type="image/png")

    async def below(_: Request) -> Response:
        found = studio.below
        if found is None:
            raise BadInput("the drawing lies on no picture")
        return Response(await run_in_threadpool(encode_png, found.picture), media_type="image/png")

    async def last_sheet(_: Request) -> Response:
        if studio.sheet is None:
            raise BadInput("there is no sheet yet")
        return Response(encode_png(studio.sheet, png_text(studio.model, None, 0)), media_type="image/png")

    async def opened(request: Request) -> Response:
        name, content = await _upload(request)
        return JSONResponse(
            await run_in_threadpool(errands.take, studio, name, content, request.query_params.get("as", ""))
        )

    async def socket(connection: WebSocket) -> None:
        await _serve(studio, connection)

    routes = [
        Route("/", index),
        WebSocketRoute("/socket", socket),
        Route("/facts", facts),
        Route("/thumb", thumb),
        Route("/lines", lines),
        Route("/sheet", sheet, methods=["POST"]),
        Route("/sheet/{number:int}/{place:int}", styled),
        Route("/sheet/{number:int}/all", contact),
        Route("/below.png", below),
        Route("/last-sheet.png", last_sheet),
        Route("/save/{what}", save),
        Route("/keep", keep, methods=["POST"]),
        Route("/open", opened, methods=["POST"]),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    handlers: Any = {SianError: _sentence, Exception: _bug}
    return Guard(Starlette(routes=routes, lifespan=life, exception_handlers=handlers), token, hosts)


async def _upload(request: Request) -> tuple[str, bytes]:
    """The name and the bytes of a file that a page sends; read no further than the limit."""
    name = safe_name(request.query_params.get("name", ""))
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise BadInput(f"{name}: found more than {MOST_BYTES >> 20} MB, expected less; cut a part out of it")
        parts.append(part)
    return name, b"".join(parts)


async def _sentence(_: Request, error: Exception) -> Response:
    return JSONResponse({"sentence": str(error)}, status_code=400)


async def _bug(_: Request, error: Exception) -> Response:
    return JSONResponse({"sentence": f"a bug in SIAN: {type(error).__name__}: {error}"}, status_code=500)


def packed(head: dict[str, Any], payload: bytes) -> bytes:
    """A binary message: the length of a JSON head, the head, the payload."""
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 4)  # the payload begins at a multiple of four, where numbers can be read in place
    return struct.pack("<I", len(text)) + text + payload


async def _serve(studio: Studio, connection: WebSocket) -> None:
    """One page, from hello to its end."""
    await connection.accept()
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[dict[str, Any], bytes]] = asyncio.Queue()

    def listen(head: dict[str, Any], payload: bytes) -> None:
        with suppress(RuntimeError):  # the loop is gone: the server stops
            loop.call_soon_threadsafe(waiting.put_nowait, (head, payload))

    sender = asyncio.create_task(_send(studio, connection, waiting))
    page = str(connection.query_params.get("page", ""))[:64]
    try:
        listen({"type": "welcome", "seen": studio.seen.get(page, 0)}, b"")
        studio.listeners.append(listen)
        for message in studio.everything():
            listen(*message)
        while True:
            text = await connection.receive_text()
            listen(await run_in_threadpool(_answer, studio, text, page), b"")
    except (WebSocketDisconnect, RuntimeError):  # starlette says the second where the line broke while sending
        pass
    finally:
        with suppress(ValueError):
            studio.listeners.remove(listen)
        await run_in_threadpool(studio.forget_tries)
        sender.cancel()


async def _send(studio: Studio, connection: WebSocket, waiting: asyncio.Queue[tuple[dict[str, Any], bytes]]) -> None:
    """Send what waits, in order; only the last of several states."""
    while True:
        head, payload = await waiting.get()
        if waiting.qsize() > MOST_WAITING:  # a page that sleeps is not sent everything it missed
            missed = [(head, payload), *(waiting.get_nowait() for _ in range(waiting.qsize()))]
            for message in (
                *(message for message in missed if message[0]["type"] in ANSWERS),  # it waits for each of them
                *studio.everything(),
            ):
                waiting.put_nowait(message)
            continue
        with suppress(RuntimeError, WebSocketDisconnect):
            if payload:
                await connection.send_bytes(packed(head, payload))
            else:
                await connection.send_text(json.dumps(head))


def _answer(studio: Studio, text: str, page: str) -> dict[str, Any]:
    number = _number(text)
    try:
        return {"type": "done", "n": number, **errands.do(studio, messages.parse(text), page)}
    except Exception as error:  # noqa: BLE001 - the page must hear of it, and go on
        return {"type": "refused", "n": number, "sentence": in_words(error)}


def _number(text: str) -> int:
    """The number of a message, which its answer names, also where the message is refused."""
    with suppress(ValueError, AttributeError, RecursionError):
        number = json.loads(text[: messages.MOST_BYTES]).get("n", 0)
        if isinstance(number, int):
            return number
    return 0
