"""From the end of a stroke to its pixels on the screen: 50 strokes in a real browser, and pictures for the docs.

    python benchmarks/studio.py [--pictures docs/images] [--tiles DATASET]

Needs chromium and the dev packages. Prints JSON: the median and the quartiles in ms, and the machine's load.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

STROKES = 50
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
PATIENCE = 900_000  # ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--tiles", type=Path)
    parser.add_argument("--threads", default=str(os.cpu_count()))
    given = parser.parse_args()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        server, page = opened(browser, Path(folder), given.threads)
        load = os.getloadavg()[0]
        say(strokes(page), load, given.threads)
        picture(page, given.pictures, "studio_drawn.webp")
        if given.pictures:
            example(page)
            picture(page, given.pictures, "studio_dark.webp")
            page.click("#theme")
            page.keyboard.press("1")
            page.keyboard.press("g")
            page.wait_for_selector("text=styles, synthetic")
            picture(page, given.pictures, "studio_styles.webp")
        server.terminate()
        server.wait()
        if given.tiles and given.pictures:
            server, page = opened(browser, Path(folder), given.threads, given.tiles.resolve())
            picture(page, given.pictures, "studio_tile.webp")
            server.terminate()
            server.wait()
        browser.close()


def say(times: list[float], load: float, threads: str) -> None:
    """Print the latencies before pictures are made, which may take long on a busy machine."""
    quarter = statistics.quantiles(times, n=4)
    print(
        json.dumps(
            {
                "strokes": len(times),
                "median_ms": round(quarter[1]),
                "quartiles_ms": [round(quarter[0]), round(quarter[2])],
                "slowest_ms": round(max(times)),
                "threads": threads,
                "load_before_and_after": [round(load, 1), round(os.getloadavg()[0], 1)],
            }
        )
    )


def opened(browser: Any, folder: Path, threads: str, *arguments: Path) -> tuple[Any, Any]:
    command = [sys.executable, "-m", "sian", "studio", "--no-browser", "--port", "0", "--threads", threads]
    environment = {**os.environ, "OMP_NUM_THREADS": threads}
    server = subprocess.Popen(
        [*command, *map(str, arguments)], cwd=folder, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert server.stdout
    url = server.stdout.readline().strip()
    page = browser.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=True).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.wait_for_function("window.sianStudio && !sianStudio.state().job && sianStudio.settled()")
    page.wait_for_function("[...document.querySelectorAll('.chip img')].every((picture) => picture.src)")
    return server, page


def strokes(page: Any) -> list[float]:
    """Draw nuclei one after another on an empty drawing of 512 x 512 px, as a person would."""
    for number in range(STROKES):
        x, y = 70 + 52 * (number % 8) + 11 * (number % 3), 60 + 58 * (number // 8) + 9 * (number % 2)
        ends = [(x, y), (x + 8 - number % 5, y + 3 - number % 7), (x + 14, y + number % 9 - 4)]
        places = [page.evaluate("([x, y]) => sianStudio.toScreen(x, y)", list(end)) for end in ends]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=4)
        page.wait_for_timeout(120)  # a stroke takes a person longer
        page.mouse.up()
        page.wait_for_function(f"sianStudio.latencies.length > {number}")
    page.wait_for_function("sianStudio.settled()")
    return list(page.evaluate("sianStudio.latencies"))


def example(page: Any) -> None:
    page.click("#open")
    page.get_by_role("menuitem", name="Example: bundled mask").click()
    page.wait_for_function("sianStudio.state().name === 'bundled mask' && sianStudio.settled()")
    page.get_by_role("radio", name="breast", exact=True).click()
    page.wait_for_function("sianStudio.state().styleName === 'breast' && sianStudio.settled()")
    page.keyboard.press("2")
    page.click("#theme")


def picture(page: Any, folder: Path | None, name: str) -> None:
    if folder is None:
        return
    page.mouse.move(5, 790)
    page.wait_for_timeout(1000)
    shot = page.screenshot(path=folder / "shot.png")
    assert shot
    with Image.open(folder / "shot.png") as found:
        found.save(folder / name, "WEBP", quality=82)
    (folder / "shot.png").unlink()


if __name__ == "__main__":
    main()
