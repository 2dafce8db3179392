"""The page with a model that knows classes of nuclei and tissue maps, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.studio.test_browser import PATIENCE, Server, drag, place, settled, wait_for_count

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Any, knowing_path: Any, tmp_path: Any) -> Iterator[Any]:
    server = Server(tmp_path).start("--port", "0", "--model", str(knowing_path))
    context = browser.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=True)
    context.set_default_timeout(PATIENCE)
    found = context.new_page()
    errors: list[str] = []
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.goto(server.url)
    settled(found)
    yield found
    context.close()
    server.stop()
    assert not errors


def class_of(page: Any, nucleus: int) -> int:
    return int(page.evaluate(f"sianStudio.picture.classes.get({nucleus})"))


def test_classes_lumen_and_stroma_are_drawn(page):
    page.get_by_role("radio", name="stromal").click()
    drag(page, (100, 100), (120, 105))
    wait_for_count(page, 1)
    assert class_of(page, 1) == 3
    page.locator("#stage").focus()
    page.keyboard.press("c")
    page.get_by_role("radio", name="dead").click()
    page.mouse.click(*place(page, 110, 102))
    page.wait_for_function("sianStudio.picture.classes.get(1) === 1")
    settled(page)
    page.locator("#stage").focus()
    page.keyboard.press("l")
    drag(page, (250, 250), (300, 260))
    page.wait_for_function("sianStudio.picture.cells[(16 * 32 + 17) * 5 + 1] > 100")
    page.keyboard.press("t")
    drag(page, (60, 400), (450, 400))
    page.wait_for_function("sianStudio.picture.fibres.length > 10")
    flat = page.evaluate("sianStudio.picture.fibres.every(([from, to]) => Math.abs(from[1] - to[1]) < 1)")
    assert flat  # the stroke ran from left to right
    page.keyboard.press("Control+z")
    page.wait_for_function("sianStudio.picture.fibres.length === 0")
    page.get_by_role("button", name="Forget the map").click()
    page.wait_for_function("sianStudio.picture.cells.every((value) => value === 0)")


def test_a_model_without_them_offers_neither(browser, toy_path, tmp_path):
    server = Server(tmp_path).start("--port", "0", "--model", str(toy_path))
    page = browser.new_context(bypass_csp=True).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(server.url)
    settled(page)
    names = page.evaluate("[...document.querySelectorAll('#tools [role=radio]')].map((tool) => tool.dataset.value)")
    assert "brush" in names
    assert not {"classify", "lumen", "stroma", "plain"} & set(names)
    page.context.close()
    server.stop()
