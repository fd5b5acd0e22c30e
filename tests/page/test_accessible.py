"""Every tab, with results, by axe-core: the rules of WCAG and good practice that a program can check."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.apps import RunningApp
from support.pages import WAIT, forget
from support.paths import ROOT

AXE = ROOT / "tests" / "node_modules" / "axe-core" / "axe.min.js"
TABS = ("Live", "Photo", "Video", "Album", "Model")
# What Gradio's own components do, and a page cannot mend: the rule, and what it is found on.
GRADIOS = {
    ("aria-prohibited-attr", "empty"),  # the place of a result, before there is one
    ("button-name", "image-container"),  # the button around an uploaded picture
    ("label-content-name-mismatch", "upload-container"),  # the place to drop a file
    ("nested-interactive", "common.upload"),  # the button that adds files to a list
}
COLOURS = ["color-contrast", "link-in-text-block"]  # all that dark changes
ASK = """async only => {
  const {violations} = await axe.run(document, {resultTypes: ['violations'], ...(only && {runOnly: only})});
  return violations.flatMap(({id, nodes}) => nodes.map(node => (
    {rule: id, at: node.target.join(' '), html: node.html.slice(0, 200)})));
}"""


def violations(page: Any, only: list[str] | None = None) -> list[dict[str, str]]:
    """What axe finds that is ours, of all rules or of some."""
    return [
        one
        for one in page.evaluate(ASK, only)
        if not any(rule == one["rule"] and name in one["at"] + one["html"] for rule, name in GRADIOS)
    ]


@pytest.fixture(scope="module")
def waiting(browser: Any) -> Iterator[Any]:
    """A page that goes from test to test: what it has loaded once costs less the next time."""
    with browser.new_context(bypass_csp=True) as context:
        context.set_default_timeout(WAIT)
        yield context.new_page()


@pytest.fixture
def page(waiting: Any) -> Iterator[Any]:
    """It, which has forgotten the test before."""
    yield waiting
    forget(waiting)


@pytest.mark.skipif(not AXE.is_file(), reason="no axe-core: npm install --prefix tests --no-package-lock")
def test_no_tab_breaks_a_rule(page: Any, app: RunningApp, photo: Path):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{app.url}/?__theme=light")
    page.get_by_role("tab", name="Live").wait_for()
    page.add_script_tag(path=AXE)
    page.add_style_tag(content="* { transition: none !important }")  # colours on their way are nobody's to read
    found = {}
    for tab in TABS:
        page.get_by_role("tab", name=tab, exact=True).click()
        page.get_by_role("tabpanel").locator("visible=true").first.wait_for()
        if tab == "Photo":
            page.set_input_files("#photo input[type=file]", photo)
            page.locator(".card").first.wait_for()
        if tab == "Album":
            page.set_input_files("#album-photos input[type=file]", photo)
            page.locator("#album-table table").first.wait_for()
        found[tab] = violations(page)
        page.evaluate("document.body.classList.add('dark')")
        found[tab] += violations(page, COLOURS)
        page.evaluate("document.body.classList.remove('dark')")
    assert found == {tab: [] for tab in TABS}


@pytest.mark.parametrize("width", [1280, 320])
def test_each_tab_has_an_address_and_a_title(page: Any, app: RunningApp, width: int):
    page.set_viewport_size({"width": width, "height": 640})
    page.goto(f"{app.url}/?tab=Model&__theme=light")
    page.locator("#model").wait_for()
    page.wait_for_url(lambda url: url.endswith("/?__theme=light&tab=model"))
    assert page.title() == "Model · Emotion Lens"
    page.evaluate("for (const tab of document.querySelectorAll('[data-tab-id=photo]')) tab.textContent = 'Foto'")
    page.get_by_role("tab", name="Foto", exact=True).locator("visible=true").click()  # as browsers translate it
    page.wait_for_url(lambda url: "tab=photo" in url)
    page.reload()
    page.locator("#photo").wait_for()
    page.get_by_role("tab", name="Live").locator("visible=true").click()
    page.wait_for_url(lambda url: url.endswith("/?__theme=light"))
    assert page.title() == "Emotion Lens"
    page.goto(f"{app.url}/?tab=nonsense")
    page.get_by_role("tab", name="Live", selected=True).first.wait_for()


def test_the_narrowest_phone_does_not_scroll_sideways(page: Any, app: RunningApp):
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(app.url)
    for tab in TABS:
        shown = page.get_by_role("tab", name=tab, exact=True).locator("visible=true")
        page.get_by_role("tab", name="Live").wait_for()
        if not shown.count():
            page.locator(".overflow-menu > button").click()
            shown = page.locator(".overflow-dropdown button", has_text=tab)
        shown.click()
        page.locator(f"[role=tab][aria-selected=true]:has-text('{tab}')").first.wait_for(state="attached")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, tab
