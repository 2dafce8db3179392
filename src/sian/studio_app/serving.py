"""Start the studio's server: on this machine only, with a token that the folder's autosave keeps."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import threading
import webbrowser
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sian.errors import BadInput, MissingResource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import uvicorn

    from sian.studio_app.studio import Studio

HOST = "127.0.0.1"
PORT = 8642  # the first that is tried; the next free one is taken
PORTS_TRIED = 20
TOKEN = "token"  # noqa: S105 - the name of the file that holds it


@dataclass
class Running:
    """A studio's server.

    Attributes:
        url: of its page, with the token.
        studio: what it serves.
    """

    url: str
    studio: Studio
    _server: uvicorn.Server
    _sockets: list[socket.socket]
    _thread: threading.Thread | None = None

    def serve(self) -> None:
        """Serve until interrupted."""
        with _held_signals() as release:
            asyncio.run(self._serve(release))

    async def _serve(self, release: Callable[[], None]) -> None:
        release()
        await self._server.serve(self._sockets)

    def serve_in_thread(self) -> Running:
        """Serve beside other work, as in a notebook."""
        self._thread = threading.Thread(target=self.serve, name="sian-studio-server", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop a server that runs in a thread, and wait until it has."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()

    def open_browser(self) -> bool:
        """Open the page; says whether there was a browser."""
        return webbrowser.open(self.url)

    def _repr_html_(self) -> str:
        return f'<a href="{self.url}" target="_blank" rel="noopener">Open the studio</a>'


@contextmanager
def _held_signals() -> Iterator[Callable[[], None]]:
    """Signals wait until the loop stands and they are released: half of a loop cannot be closed."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield lambda: None
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:
        yield release
    finally:
        release()


def start(
    given: str | Path | None = None,
    *,
    model: str | Path | None = None,
    port: int | None = None,
    folder: str | Path = ".",
    device: str = "cpu",
    segmenter: str | Path | None = None,
) -> Running:
    """A studio that is ready to be served.

    Args:
        given: a mask, a picture or a data set to open; None goes on with the folder's autosave, or
            begins with an empty drawing.
        model: the model's file; None for the bundled one.
        port: see `prepare`.
        folder: in which everything is kept that the studio writes, in a folder sian-studio.
        device: "cpu", "cuda", "mps" or "auto".
        segmenter: the file of the one that finds nuclei; None for the bundled one.
    """
    from sian.data.class_file import classes_of
    from sian.studio_app.corrected import open_tiles
    from sian.studio_app.errands import take
    from sian.studio_app.studio import AUTOSAVE, FOLDER, Studio
    from sian.synthesis import load

    content = None if given is None or Path(given).is_dir() else _file(Path(given))
    autosave = Path(folder) / FOLDER / AUTOSAVE

    def make() -> Studio:
        path = None if model is None else Path(model)
        finds = None if segmenter is None else Path(segmenter)
        studio = Studio(load(path, device), Path(folder), model_path=path, segmenter=finds)
        try:
            if given is not None and content is None:
                open_tiles(studio, Path(given))
            elif given is not None and content is not None:
                take(studio, Path(given).name, content, "nuclei", classes_of(given))
        except BaseException:
            studio.close()  # else nobody could open the folder again
            raise
        return studio

    return prepare(make, autosave, port)


def studio(
    given: str | Path | None = None,
    *,
    model: str | Path | None = None,
    port: int | None = None,
    folder: str | Path = ".",
    device: str = "cpu",
    browser: bool = True,
    segmenter: str | Path | None = None,
) -> Running:
    """Start the studio beside other work, as in a notebook, and open its page; `stop()` ends it.

    Args:
        given: a mask, a picture or a data set to open; None goes on with what was drawn in the folder.
        model: the model's file; None for the bundled one.
        port: on this machine; None takes 8642 or the next free one, 0 any that is free.
        folder: in which the studio keeps what is drawn, in a folder sian-studio.
        device: "cpu", "cuda", "mps" or "auto".
        browser: whether to open the page.
        segmenter: the file of the one that finds nuclei in pictures; None for the bundled one.

    Raises:
        BadInput: nothing there that can be opened, or the port is taken.
        MissingResource: the extra packages are not installed.

    Example:
        >>> running = sian.studio("mask.png")  # doctest: +SKIP
        >>> running.url  # doctest: +SKIP
    """
    running = start(given, model=model, port=port, folder=folder, device=device, segmenter=segmenter).serve_in_thread()
    if browser:
        running.open_browser()
    return running


def _file(path: Path) -> bytes:
    if not path.is_file():
        raise BadInput(f"{path}: no such file, expected a mask, a picture or a data set; check the path")
    return path.read_bytes()


def prepare(make: Callable[[], Studio], folder: Path, port: int | None = None) -> Running:
    """A server that is ready to serve.

    Args:
        make: the studio; called when a port was found.
        folder: in which the token is kept, so that an open page finds a restarted server again.
        port: to listen on; None takes 8642 or the next free one.

    Raises:
        BadInput: the port is taken.
        MissingResource: the extra packages are not installed.
    """
    try:
        import uvicorn

        from sian.studio_app.server import application
    except ImportError as error:
        raise MissingResource(
            f"the studio needs the package {error.name!r}; install it with: pip install 'sian[studio]'"
        ) from None
    listening = _listen(port)
    number = listening.getsockname()[1]
    token = _token(folder)
    studio = make()
    app = application(studio, token, frozenset({f"{HOST}:{number}", f"localhost:{number}"}))
    config: Any = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=8 << 20,
        timeout_graceful_shutdown=1,
    )
    return Running(f"http://{HOST}:{number}/?token={token}", studio, uvicorn.Server(config), [listening])


def _listen(port: int | None) -> socket.socket:
    tried = [port] if port is not None else range(PORT, PORT + PORTS_TRIED)
    for number in tried:
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((HOST, number))
        except OSError:
            found.close()
            continue
        found.listen(64)
        return found
    which = f"port {port} is" if port is not None else f"ports {PORT} to {PORT + PORTS_TRIED - 1} are"
    raise BadInput(f"{which} taken on this machine; name another with --port (0 takes any that is free)")


def _token(folder: Path) -> str:
    """The folder's token; made, readable by its owner alone, where there is none."""
    path = folder / TOKEN
    if path.is_file() and len(found := path.read_text(encoding="ascii", errors="replace").strip()) == 43:
        return found
    folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_urlsafe(32)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as stream:
        stream.write(token)
    return token
