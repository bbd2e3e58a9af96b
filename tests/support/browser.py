"""Drives a real browser, headless: a person who logs in, and what they see at the end."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.support.require import require_program

_QUIET = (
    "--no-sandbox",  # tests run as root in CI, where Chromium refuses to use its own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Nothing but this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
_PATIENCE_MS = 15_000


@contextmanager
def chromium() -> Generator[Browser]:
    """Start the system's Chromium; it ends with the block."""
    program = require_program("chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_QUIET)
        try:
            yield browser
        finally:
            browser.close()


class Person:
    """Somebody in front of a fresh browser profile.

    Attributes:
        page: Their window.
        complaints: What the browser wrote on its console, such as breaches of a content policy,
            each after the URL that it is about.
    """

    def __init__(self, browser: Browser, *, scripts: bool = True) -> None:
        self._context: BrowserContext = browser.new_context(java_script_enabled=scripts)
        self._context.set_default_timeout(_PATIENCE_MS)
        self.page: Page = self._context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._complain)

    def close(self) -> None:
        """Close the window, and forget its profile."""
        self._context.close()

    def log_in(self, url: str, name: str = "ada", back: str = "127.0.0.1") -> None:
        """Log in at oidc-provider, and agree to what is asked for.

        Args:
            url: Where it begins.
            name: As whom.
            back: The host that it leads to in the end.
        """
        self.page.goto(url)
        self.page.fill("[name=login]", name)
        self.page.fill("[name=password]", "any")
        self.page.click("[type=submit]")
        self.page.click("text=Continue")
        self.page.wait_for_url(f"**/{back}:*/**")

    def agree(self, url: str) -> None:
        """Agree once more, logged in there already."""
        self.page.goto(url)
        self.page.click("text=Continue")
        self.page.wait_for_url("**/127.0.0.1:*/**")

    def refuse(self, url: str) -> None:
        """Say no there."""
        self.page.goto(url)
        self.page.click("text=Cancel")

    def enter_code(self, url: str, name: str = "ada") -> None:
        """Confirm a device's code there, and log in."""
        self.page.goto(url)
        self.page.click("[type=submit]")
        self.page.fill("[name=login]", name)
        self.page.fill("[name=password]", "any")
        self.page.click("[type=submit]")
        self.page.click("text=Continue")

    def _complain(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.location['url']} {message.text}")
