"""What the page shows in its states: before the first answer, while saving, all styles, a narrow window, no server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.studio.test_browser import (
    count,
    drag,
    drop,
    page,  # noqa: F401 - a fixture
    place,
    save,
    server,  # noqa: F401 - a fixture
    settled,
    wait_for_count,
)

from sian.masks.files import encode_mask_png

pytestmark = pytest.mark.browser

WIDTHS = [(1280, 800), (780, 1000), (780, 600)]
BROKEN_WORDS = """(selector) => [...document.querySelectorAll(selector)].flatMap((label) => {
    const text = label.firstChild;
    return [...text.data.matchAll(/\\S+/g)].filter((word) => {
        const range = document.createRange();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        return new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size > 1;
    }).map((word) => word[0]);
})"""
CUT_OFF = """(selector) => [...document.querySelectorAll(selector)].filter((one) => {
    const box = one.getBoundingClientRect(), home = one.closest("nav, aside, header, main").getBoundingClientRect();
    return !box.width || box.left < home.left || box.right > home.right + 0.5 || one.scrollWidth > one.clientWidth + 1;
}).map((one) => one.id || one.textContent)"""


def small(page: Any) -> None:  # noqa: F811
    """A drawing that is quickly painted."""
    mask = np.zeros((96, 96), np.int32)
    mask[20:44, 20:50] = 1
    drop(page, "small.png", encode_mask_png(mask))
    page.wait_for_function("sianStudio.state().name === 'small' && sianStudio.settled()")


def test_the_page_claims_nothing_before_it_hears_from_the_server(browser, server):  # noqa: F811
    context = browser.new_context()
    found = context.new_page()
    found.route("**/page/main.js", lambda route: route.abort())
    found.goto(server.url)
    assert found.locator("#status").inner_text() == "loading ..."
    assert found.locator("#undo").is_disabled()
    assert found.locator("#redo").is_disabled()
    context.close()


@pytest.mark.parametrize("size", WIDTHS, ids=str)
def test_names_are_whole_and_tools_have_theirs(page, size):  # noqa: F811
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.keyboard.press("f")
    page.wait_for_selector("#option-organ option[value=kidney]", state="attached")
    assert page.evaluate(BROKEN_WORDS, ".chip .label") == []
    assert page.evaluate(BROKEN_WORDS, "#tools .label") == []
    assert (
        page.evaluate(CUT_OFF, "#tools button, #tools .label, #options > *, .chip, .segments button, header button")
        == []
    )
    tools = page.evaluate(
        "[...document.querySelectorAll('#tools button')].map((tool) => "
        "[tool.getAttribute('aria-label'), tool.title, tool.querySelector('.label').offsetWidth])"
    )
    assert len(tools) >= 11
    assert all(label and title.startswith(label) and width > 12 for label, title, width in tools)


def test_fill_names_what_it_fills_with(page):  # noqa: F811
    page.keyboard.press("f")
    page.get_by_role("radio", name="breast", exact=True).click()
    page.locator("#option-note", has_text="breast").wait_for()
    page.get_by_role("radio", name="brain", exact=True).click()
    page.locator("#option-note", has_text="No nuclei of brain are known: kidney's").wait_for()
    page.locator("#option-organ").select_option("liver")
    drag(page, (60, 60), (400, 60), (400, 400), (60, 400), (60, 70))
    page.locator(".toast", has_text="like liver's").wait_for()
    page.locator("#option-organ").select_option("")
    page.get_by_role("radio", name="kidney", exact=True).click()
    page.wait_for_function("sianStudio.state().styleName === 'kidney'")


def test_undo_after_another_style_takes_back_the_style(page):  # noqa: F811
    drag(page, (200, 200), (225, 210))
    wait_for_count(page, 1)
    page.get_by_role("radio", name="colon", exact=True).click()
    page.wait_for_function("sianStudio.state().styleName === 'colon'")
    page.locator("#undo").click()
    page.wait_for_function("sianStudio.state().styleName === 'kidney'")
    assert count(page) == 1
    assert page.get_by_role("radio", name="kidney", exact=True).get_attribute("aria-checked") == "true"


def test_saving_ends_as_saved(page):  # noqa: F811
    small(page)
    save(page, "Mask")
    page.locator(".toast", has_text="Saved: small_mask.png").wait_for()
    assert not page.locator(".toast", has_text="Saving").count()
    page.click("#save")
    page.get_by_role("menuitem", name="Into the data set").click()
    page.locator(".toast", has_text="Saved: small-").wait_for()


def test_all_styles_come_one_by_one_beside_the_drawing(page):  # noqa: F811
    small(page)
    page.keyboard.press("g")
    page.locator(".card img[src]").first.wait_for()
    page.locator("#sheet", has_text="styles painted").wait_for()
    assert page.evaluate("document.getElementById('stage').clientHeight") > 250
    assert not page.locator("dialog[open]").count()
    before = count(page)
    page.keyboard.press("d")
    page.mouse.click(*place(page, 35, 30))  # one can draw meanwhile
    wait_for_count(page, before - 1)
    page.keyboard.press("Control+z")
    wait_for_count(page, before)
    page.locator("#sheet", has_text="styles, synthetic").wait_for()
    assert page.locator(".card").count() == page.locator(".card img[src]").count() > 10
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the sheet").click()
    assert download.value.suggested_filename == "styles_synthetic.png"
    page.get_by_role("button", name="Paint in the style of colon").click()
    page.wait_for_function("sianStudio.state().styleName === 'colon'")
    page.keyboard.press("g")
    assert page.locator("#sheet").is_hidden()
    page.keyboard.press("Control+z")
    page.wait_for_function("sianStudio.state().styleName === 'kidney'")


def test_all_styles_can_be_stopped_and_closed(page):  # noqa: F811
    small(page)
    page.get_by_role("button", name="All styles").click()
    page.locator(".card img[src]").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.locator("#sheet", has_text="stopped").wait_for()
    painted = page.locator(".card img[src]").count()
    assert painted < page.locator(".card").count()
    page.keyboard.press("Escape")
    assert page.locator("#sheet").is_hidden()
    settled(page)


@pytest.mark.parametrize("size", WIDTHS, ids=str)
def test_what_is_said_of_a_server_that_stopped_lies_over_nothing(page, server, size):  # noqa: F811
    page.set_viewport_size({"width": size[0], "height": size[1]})
    port = server.port
    server.kill()
    trouble = page.locator("#trouble", has_text="does not answer")
    trouble.wait_for()
    assert page.locator("#status").inner_text() == "no connection"
    bar = trouble.bounding_box()
    for other in page.locator("header button, #status, #stage, nav, aside, footer").all():
        box = other.bounding_box()
        apart = (
            box["x"] + box["width"] <= bar["x"] + 1
            or bar["x"] + bar["width"] <= box["x"] + 1
            or box["y"] + box["height"] <= bar["y"] + 1
            or bar["y"] + bar["height"] <= box["y"] + 1
        )
        assert apart, other.evaluate("(one) => one.outerHTML.slice(0, 80)")
    server.start("--port", port)
    trouble.wait_for(state="hidden")
    settled(page)
