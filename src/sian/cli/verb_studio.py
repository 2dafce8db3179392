"""`sian studio`: draw nuclei in the browser, and see the tissue."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from sian.cli import console
from sian.cli.arguments import Device, ModelFile, Threads, check_there, use_threads


def studio(
    start: Annotated[
        Path | None,
        typer.Argument(
            metavar="[MASK|IMAGE|DATASET]",
            help="What to open: an instance mask, a picture to find nuclei in, or a data set to correct.",
        ),
    ] = None,
    model: ModelFile = None,
    segmenter: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Segmenter that finds nuclei in pictures; the bundled one if not given."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="On this machine; 8642 or the next free one if not given.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Draw nuclei in the browser and see the tissue as you draw.

    Only this machine can open the page. What is drawn is saved at once in the folder sian-studio here, and comes back
    when the studio is started again. Ctrl-C ends it.
    """
    check_there("file", start)
    check_there("file", model, segmenter, bundled=True)
    use_threads(threads)

    from sian.studio_app.serving import start as start_studio

    running = start_studio(start, model=model, segmenter=segmenter, port=port, device=device)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again when all is closed; ending the studio is not an error
        console.say("the studio runs until Ctrl-C; only this machine can reach it, with this address:")
        console.out(running.url)
        if browser and not running.open_browser():
            console.say("no browser was found to open it in")
        running.serve()
    console.say(
        f"the studio has ended; what was drawn is saved in {running.studio.autosave}: `sian studio` in the same folder "
        "goes on with it"
    )
    if running.studio.jobs.running:  # torch aborts a process that ends while a thread of it computes
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
