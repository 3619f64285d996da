"""A browser window whose console is read: errors, refused resources and exceptions fail whoever looks at the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from playwright.sync_api import Browser, ConsoleMessage, Page, expect

TIMEOUT_MS = 20_000
POLL_MS = 50
LOADED = "[...document.images].every((one) => one.complete || one.getBoundingClientRect().top > innerHeight)"
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
expect.set_options(timeout=TIMEOUT_MS)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Watched:
    """A context manager: a fresh window, signed out. `expected` are texts of console errors that a test provokes,
    `prefix` begins the names of its screenshots."""

    def __init__(self, browser: Browser, url: str, screenshots: Path, prefix: str, **options: Any) -> None:
        self.context = browser.new_context(base_url=url, locale="en-GB", reduced_motion="reduce", **options)
        self.context.set_default_timeout(TIMEOUT_MS)
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        self.expected: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.wrong.append(f"exception: {error}"))
        self.page.on("dialog", lambda dialog: (self.wrong.append(f"alert: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self._asked(url, request.url))
        self._shots = str(screenshots / prefix)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.context.close()
        if kind is None:
            assert self.wrong == []

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(text in message.text for text in self.expected):
            self.wrong.append(f"{message.text} ({message.location.get('url')})")

    def _asked(self, own: str, url: str) -> None:
        if not url.startswith((own, "blob:", "data:")):
            self.wrong.append(f"another host: {url}")

    def sign_in(self, key: str) -> None:
        """Through the form, as people do."""
        self.page.goto("/")
        self.page.get_by_label("Your key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="Catalogues").wait_for()

    def open(self, catalogue: str, place: str, heading: str) -> None:
        """A place of a catalogue, once it shows its heading and waits for nothing."""
        self.page.goto(f"/#/c/{catalogue}/{place}")
        self.page.get_by_role("heading", level=1, name=heading).wait_for()
        expect(self.page.locator(".waiting, .view[aria-busy]")).to_have_count(0)

    def settled(self) -> None:
        """Pictures in sight are there. Not `wait_for_function`: the page's policy lets nobody evaluate text."""
        for _ in range(TIMEOUT_MS // POLL_MS):
            if self.page.evaluate(LOADED):
                return
            self.page.wait_for_timeout(POLL_MS)
        raise AssertionError("a picture does not load")

    def shot(self, name: str) -> None:
        """The whole page as a picture, for somebody to look at."""
        self.page.screenshot(path=f"{self._shots}{name}.png", full_page=True)

    def fits(self) -> None:
        """Nothing hangs out on the right."""
        wide = self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide[0] <= wide[1], f"{self.page.url} is {wide[0]} px wide on {wide[1]}"

    def accessible(self) -> None:
        """What axe-core finds wrong: names, roles, contrast, landmarks."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate(
            "async (rules) => (await axe.run(document, {runOnly: rules})).violations"
            ".map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html.slice(0, 120)).join(' | ')}`)",
            RULES,
        )
        assert not found, f"{self.page.url}: {found}"
