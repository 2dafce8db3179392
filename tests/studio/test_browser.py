"""The page in a real browser (Debian's chromium), with the bundled model."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sian.errors import SianWarning
from sian.masks.files import encode_mask_png

pytest.importorskip("playwright.sync_api")

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BLUE = """([x, y]) => {
    const canvas = document.getElementById("stage"), box = canvas.getBoundingClientRect(), ratio = devicePixelRatio;
    const [red, , blue] = canvas.getContext("2d").getImageData((x - box.x) * ratio, (y - box.y) * ratio, 1, 1).data;
    return blue > red + 60;
}"""
PATIENCE = 600_000  # ms; the machine that runs this may be busy


@dataclass
class Server:
    """`sian studio` in a process of its own, which can be killed and started again."""

    folder: Path
    url: str = ""
    arguments: list[str] = field(default_factory=list)
    process: Any = None

    def start(self, *arguments: str) -> Server:
        command = [sys.executable, "-m", "sian", "studio", "--no-browser", *arguments]
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, text=True, env=os.environ)
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:")
        return self

    @property
    def port(self) -> str:
        return self.url.split(":")[2].split("/")[0]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE / 1000)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("studio")).start("--port", "0")
    yield found
    found.stop()


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    # Playwright's wait_for_function evaluates strings, which the page's policy forbids; the policy has its own test.
    context = browser.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=True)
    context.set_default_timeout(PATIENCE)
    found = context.new_page()
    errors: list[str] = []
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.goto(server.url)
    settled(found)
    if count(found):  # one server serves all tests, each begins with an empty drawing
        found.click("#open")
        found.get_by_role("menuitem", name="Empty, 512").click()
        wait_for_count(found, 0)
    yield found
    context.close()
    assert not errors


def settled(page: Any) -> None:
    page.wait_for_function("window.sianStudio && sianStudio.settled()")


def place(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a place of the picture is on the screen, on its left half."""
    found = page.evaluate("([x, y]) => sianStudio.toScreen(x, y)", [x, y])
    return found[0], found[1]


def drag(page: Any, *points: tuple[float, float]) -> None:
    page.mouse.move(*place(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*place(page, *point), steps=4)
    page.mouse.up()


def count(page: Any) -> int:
    return int(page.evaluate("sianStudio.state().nuclei"))


def wait_for_count(page: Any, nuclei: int) -> None:
    page.wait_for_function(f"sianStudio.state().nuclei === {nuclei}")


def save(page: Any, entry: str) -> Path:
    page.click("#save")
    with page.expect_download() as download:
        page.get_by_role("menuitem", name=entry).first.click()
    return Path(download.value.path())


def test_a_stroke_becomes_tissue_and_is_saved_as_synthesize_paints_it(page):
    drag(page, (200, 200), (225, 210))
    page.wait_for_function("sianStudio.latencies.length === 1")
    drag(page, (300, 300), (300, 330))
    wait_for_count(page, 2)
    with Image.open(save(page, "Picture")) as picture:
        assert picture.text["Synthetic"] == "true"
        painted = np.asarray(picture)
    with Image.open(save(page, "Mask")) as picture:
        mask = np.asarray(picture).astype(np.int32)
    assert sorted(np.unique(mask)) == [0, 1, 2]
    assert mask[200, 202] == 1
    assert mask[315, 300] == 2

    import sian

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SianWarning)  # nuclei may come out larger than those of training
        expected = sian.load().synthesize(mask, "kidney", seed=0)
    assert np.array_equal(painted, expected)
    nucleus, around = painted[mask > 0].mean(), painted[mask == 0].mean()
    assert nucleus < around - 30  # nuclei are dark


def test_undo_and_do_again(page):
    for x in (100, 200, 300):
        drag(page, (x, 150), (x + 15, 150))
    wait_for_count(page, 3)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    wait_for_count(page, 1)
    page.locator("#redo").click()
    wait_for_count(page, 2)
    page.keyboard.press("Control+Shift+z")
    wait_for_count(page, 3)


def test_nothing_drawn_is_lost_when_the_server_is_killed_in_the_middle_of_a_stroke(page, server):
    drag(page, (100, 100), (120, 100))
    wait_for_count(page, 1)
    page.mouse.move(*place(page, 200, 200))
    page.mouse.down()
    page.mouse.move(*place(page, 215, 205), steps=3)
    port = server.port
    server.kill()
    page.mouse.move(*place(page, 230, 210), steps=3)
    page.mouse.up()  # drawn while nobody listened
    page.wait_for_function("document.getElementById('status').classList.contains('bad')")
    page.wait_for_function(BLUE, arg=place(page, 215, 205))  # it shows meanwhile, as a stroke that is not yet a nucleus
    drag(page, (300, 300), (330, 300))
    page.locator("#trouble", has_text="2 steps wait").wait_for()
    page.keyboard.press("Control+z")
    page.wait_for_function(f"(place) => !({BLUE})(place)", arg=place(page, 305, 300))
    server.start("--port", port)
    wait_for_count(page, 2)
    settled(page)
    assert page.evaluate("sianStudio.unanswered()") == 0
    page.keyboard.press("Control+z")  # and what was done before the kill can be undone
    page.keyboard.press("Control+z")
    wait_for_count(page, 0)


def test_two_pages_show_one_drawing(page, server):
    other = page.context.new_page()
    other.goto(server.url)
    settled(other)
    drag(page, (100, 100), (120, 100))
    wait_for_count(other, 1)
    drag(other, (200, 200), (220, 200))
    wait_for_count(page, 2)
    settled(page)
    settled(other)
    same = "JSON.stringify(Array.from(sianStudio.picture.ids).filter((id) => id).length)"
    assert page.evaluate(same) == other.evaluate(same)


def test_the_page_runs_under_its_own_policy(browser, server):
    context = browser.new_context()
    found = context.new_page()
    said: list[str] = []
    found.on("console", lambda message: said.append(message.text))
    found.goto(server.url)
    found.locator("#status", has_text=re.compile("painted|ready to draw")).wait_for(timeout=PATIENCE)
    found.locator(".chip img[src]").first.wait_for(timeout=PATIENCE)
    assert not [text for text in said if "Content Security Policy" in text]
    assert found.title() == "SIAN studio"
    context.close()


def drop(page: Any, name: str, content: bytes) -> None:
    """Let a file fall on the page, as from a file manager."""
    page.evaluate(
        """([name, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name));
            for (const kind of ["dragenter", "dragover", "drop"]) {
                window.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
            }
        }""",
        [name, list(content)],
    )


def test_a_mask_is_dropped_mended_saved_and_dropped_again(page):
    mask = np.zeros((128, 160), np.int32)
    mask[20:44, 20:50], mask[70:100, 90:120] = 1, 2
    drop(page, "small.png", encode_mask_png(mask))
    wait_for_count(page, 2)
    settled(page)  # the view has been fitted to it, so that strokes go where they are meant to
    page.keyboard.press("x")
    drag(page, (35, 10), (35, 60))
    wait_for_count(page, 3)
    page.keyboard.press("j")
    drag(page, (42, 30), (105, 85))
    wait_for_count(page, 2)
    page.keyboard.press("m")
    drag(page, (25, 30), (25, 60))
    page.wait_for_function("sianStudio.state().undo >= 4")
    page.keyboard.press("d")
    page.mouse.click(*place(page, 25, 60))
    wait_for_count(page, 1)
    saved = save(page, "Mask").read_bytes()
    page.keyboard.press("Control+z")
    wait_for_count(page, 2)
    drop(page, "again.png", saved)
    wait_for_count(page, 1)
    page.wait_for_function("sianStudio.state().name === 'again'")


def test_stamps_and_areas_of_invented_nuclei(page):
    page.keyboard.press("s")
    page.wait_for_function("sianStudio.stage().stampOutline.length > 5")
    for x in (100, 160, 220):
        page.mouse.click(*place(page, x, 100))
    wait_for_count(page, 3)
    page.keyboard.press("f")
    drag(page, (60, 200), (400, 200), (400, 400), (60, 400), (60, 210))
    page.wait_for_function("sianStudio.state().nuclei > 12")
    page.keyboard.press("Control+z")
    wait_for_count(page, 3)


def test_another_style_changes_the_colours_and_not_the_mask(page):
    page.click("#open")
    page.get_by_role("menuitem", name="Example: bundled mask").click()
    page.wait_for_function("sianStudio.state().name === 'bundled mask'")
    page.get_by_role("radio", name="kidney", exact=True).click()  # whatever the tests before left
    page.wait_for_function("sianStudio.state().styleName === 'kidney'")
    nuclei = count(page)
    colour = """(() => { const tissue = sianStudio.picture.tissue;
        const data = tissue.getContext('2d').getImageData(0, 0, tissue.width, tissue.height).data;
        const sum = (k) => data.filter((_, at) => at % 4 === k).reduce((a, b) => a + b, 0);
        return [0, 1, 2].map((k) => sum(k) * 4 / data.length); })()"""
    settled(page)
    before = np.array(page.evaluate(colour))
    page.get_by_role("radio", name="brain", exact=True).click()
    page.wait_for_function("sianStudio.state().styleName === 'brain' && sianStudio.settled()")
    assert np.abs(np.array(page.evaluate(colour)) - before).max() > 5
    assert count(page) == nuclei
    page.get_by_role("radio", name="kidney", exact=True).click()
    page.wait_for_function("sianStudio.state().styleName === 'kidney' && sianStudio.settled()")
    assert np.abs(np.array(page.evaluate(colour)) - before).max() < 0.01


def test_a_dropped_picture_becomes_a_style(page):
    picture = Path(__file__).resolve().parents[2] / "docs" / "images" / "reference.png"
    drop(page, "slide.png", picture.read_bytes())
    page.get_by_role("button", name="Paint in its style").click()
    page.wait_for_function("sianStudio.state().styleName.startsWith('slide')")
    page.get_by_role("button", name="Stop").or_(page.locator(".chip[data-value='@slide-fitted']")).first.wait_for()
    page.get_by_role("radio", name="kidney", exact=True).click()
    page.wait_for_function("sianStudio.state().styleName === 'kidney'")


def test_a_hostile_file_is_a_sentence_on_the_page(page):
    drag(page, (100, 100), (120, 100))
    wait_for_count(page, 1)
    drop(page, "bomb.png", b"\x89PNG\r\n\x1a\n" + bytes(100))
    page.locator(".toast.bad", has_text="bomb.png").wait_for()
    assert count(page) == 1


def test_keys_alone_draw_a_nucleus(page):
    page.locator("#stage").focus()
    page.keyboard.press(" ")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    wait_for_count(page, 1)
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")


def test_fingers_draw_and_zoom_on_a_tablet_that_is_held_upright(browser, server):
    context = browser.new_context(
        viewport={"width": 820, "height": 1180}, has_touch=True, is_mobile=True, bypass_csp=True
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(server.url)
    settled(page)
    hand = context.new_cdp_session(page)

    def touch(kind: str, *fingers: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(fingers)]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    before = count(page)
    half = page.evaluate("document.getElementById('stage').clientHeight") / 2
    for y in (100, 400):  # on the nuclei above, then on the tissue below
        start, end = place(page, 60, y), place(page, 75, y + 5)
        down = half if y == 400 else 0
        touch("touchStart", (start[0], start[1] + down))
        touch("touchMove", (end[0], end[1] + down))
        touch("touchEnd")
        before += 1
        wait_for_count(page, before)
        assert page.evaluate(f"sianStudio.picture.ids[{y} * sianStudio.picture.width + 60]")
    scale = page.evaluate("sianStudio.stage().view.scale")
    touch("touchStart", (200, 300), (260, 300))
    touch("touchMove", (170, 300), (290, 300))
    touch("touchEnd")
    page.wait_for_function(f"Math.abs(sianStudio.stage().view.scale / {scale} - 2) < 0.1")
    assert count(page) == before
    context.close()
