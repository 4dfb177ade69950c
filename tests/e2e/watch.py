"""Looks over a visitor's shoulder: every complaint of the browser fails the test."""

import re
from pathlib import Path

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, WebError

AXE = (Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
LISTEN = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`Violated ${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""
SIZES = [(390, 844), (1280, 800)]


class Watch:
    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.allowed: list[str] = []

    def allow(self, *patterns: str) -> None:
        """What this journey provokes, for example the answer 409."""
        self.allowed += patterns

    def follow(self, context: BrowserContext) -> None:
        context.add_init_script(LISTEN)
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("requestfailed", self._failed)

    def unexpected(self) -> list[str]:
        return [c for c in self.complaints if not any(re.search(pattern, c) for pattern in self.allowed)]

    def flaws(self, page: Page) -> list[str]:
        """What axe finds on the page as it is, at both widths, light and dark, and what does not fit into it."""
        before, size, found = len(self.complaints), page.viewport_size, []
        for frame in page.frames:
            frame.evaluate(AXE)
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            for scheme, rules in (("light", RULES), ("dark", ["color-contrast"])):
                page.emulate_media(color_scheme=scheme)
                page.wait_for_selector(f"html[data-bs-theme={scheme}]")
                found += [f"{width} {scheme}: {flaw}" for flaw in barriers(page, rules)]
            found += overflow(page, width)
        found += overflow(page, 320)  # WCAG 1.4.10: 1280 px at 400 %
        page.set_viewport_size(size)
        page.emulate_media(color_scheme="light")
        del self.complaints[before:]  # axe tries what the policy forbids
        return found

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def _error(self, error: WebError) -> None:
        self.complaints.append(f"script: {error.error}")

    def _failed(self, request: Request) -> None:
        # Leaving a page ends what it was fetching.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"request: {request.failure} {request.method} {request.url}")


def barriers(page: Page, rules: list[str]) -> list[str]:
    run = "(rules) => axe.run(document, {runOnly: rules, resultTypes: ['violations']})"
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in page.evaluate(run, rules)["violations"]
        for node in violation["nodes"]
    ]


def overflow(page: Page, width: int) -> list[str]:
    page.set_viewport_size({"width": width, "height": 640})
    wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"{wide} px too wide for {width}"] if wide > 0 else []
