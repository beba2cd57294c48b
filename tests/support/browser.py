"""Debian's Chromium, driven as a person would; pages must stay free of errors meanwhile."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect, sync_playwright

EXECUTABLE = "/usr/bin/chromium"
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
WAIT_SECONDS_MAX = 60
expect.set_options(timeout=WAIT_SECONDS_MAX * 1000)
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
WIDTHS = (320, 768, 1440)
_AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
_RUN_AXE = """async () => {
    const found = await axe.run(document, {resultTypes: ['violations']});
    return found.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 200) + ' ' +
        n.any.concat(n.all, n.none).map(c => c.message).join(' '))]);
}"""
_CUT_OFF = """() => [...document.querySelectorAll('body *')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width > 1 && box.right > document.documentElement.clientWidth + 1 &&
        getComputedStyle(e).position !== 'fixed' && !e.closest('[hidden]');
}).map(e => e.outerHTML.slice(0, 160))"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """One browser profile: its own cookies, language, colours and size."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url = url
        width = options.pop("width", 1440)
        self.context: BrowserContext = browser.new_context(
            base_url=url, viewport={"width": width, "height": 900}, **options
        )
        self.context.set_default_timeout(WAIT_SECONDS_MAX * 1000)
        self.faults: list[str] = []

    def page(self, path: str | None = None) -> Page:
        """A tab; what goes wrong in it is kept in `faults`."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("console", lambda line: self._hear(line.type, line.text))
        page.on("dialog", self._refuse)
        page.on("request", lambda request: self._see(request.url))
        if path is not None:
            page.goto(path)
        return page

    def set_cookie(self, name: str, value: str) -> None:
        """As if the server had set it."""
        self.context.add_cookies([{"name": name, "value": value, "url": self.url}])

    def speak(self, language: str) -> None:
        """Choose the pages' language."""
        self.set_cookie("mintage_language", language)

    def close(self) -> None:
        """Close all tabs. Fails where one had an error, or asked another host for anything."""
        self.context.close()
        assert not self.faults, self.faults

    def _hear(self, kind: str, text: str) -> None:
        # A refusal is an answer like any other; Chromium writes each into its console.
        if kind in {"error", "warning"} and not text.startswith("Failed to load resource"):
            self.faults.append(f"{kind}: {text}")

    def _refuse(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _see(self, url: str) -> None:
        if not url.startswith((self.url, "blob:", "data:")):
            self.faults.append(f"asked elsewhere: {url}")


def axe(page: Page) -> list[Any]:
    """What axe-core finds wrong; it is put in beside the page's own policy."""
    page.evaluate(_AXE)
    return list(page.evaluate(_RUN_AXE))


def check_fit(page: Page, name: str) -> None:
    """Look at three widths: nothing scrolls sideways or sticks out. Leaves screenshots."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    before = page.viewport_size
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=SCREENSHOTS / f"{name}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        assert page.evaluate(_CUT_OFF) == [], (name, width)
    if before is not None:
        page.set_viewport_size(before)


def look(page: Page, name: str) -> None:
    """Axe, and the widths once a language: they do not depend on the colours."""
    assert axe(page) == []
    if "zh-CN-light" in name or "en-dark" in name:
        check_fit(page, name)
