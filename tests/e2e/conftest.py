"""The real application in a thread, and browsers that report what is wrong with each page.

These tests run as their own process (`-m e2e`): Playwright keeps an event loop on the main thread.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.test import Client

from tests.servers import serve

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "node_modules/axe-core/axe.min.js"
ALL_RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
COLOURS = {"type": "rule", "values": ["color-contrast"]}
WATCH_POLICY = """
    document.addEventListener("securitypolicyviolation", (event) =>
        console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session", autouse=True)
def allow_queries_beside_the_browser():
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"


@pytest.fixture
def site(transactional_db):
    """The address of the running application."""
    from clinic_booking.asgi import application

    with serve(application) as address:
        yield address


@pytest.fixture
def complaints():
    """What browsers complained about: console errors, exceptions, violations of the policy. A test may clear it."""
    found = []
    yield found
    assert not found


@pytest.fixture
def open_browser(browser, site, complaints):
    """A new browser, so to speak: its own cookies. `user` is logged in. Nothing moves."""
    contexts = []

    def open_browser(user=None, **options):
        context = browser.new_context(base_url=site, reduced_motion="reduce", **options)
        contexts.append(context)
        context.add_init_script(WATCH_POLICY)
        context.set_default_timeout(10_000)
        if user:
            client = Client()
            client.force_login(user)
            log_in(context, site, client)
        page = context.new_page()
        page.on("console", lambda message: complain(complaints, message))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_browser
    for context in contexts:
        context.close()


def log_in(context, site, client):
    cookie = client.cookies["session"]
    host = urlsplit(site).hostname
    context.add_cookies([{"name": "session", "value": cookie.value, "domain": host, "path": "/"}])


def complain(complaints, message):
    if message.type == "error":
        complaints.append(f"{message.text} {message.location.get('url', '')}")


@pytest.fixture
def page(open_browser):
    return open_browser()


@pytest.fixture(scope="session")
def axe():
    """Asserts that the page has no known barrier."""
    script = AXE.read_text()

    def check(page, rules=ALL_RULES):
        page.evaluate(script)
        result = page.evaluate("(rules) => axe.run(document, {runOnly: rules})", rules)
        barriers = {
            f"{violation['id']}: {node['target']} {node['failureSummary']}"
            for violation in result["violations"]
            for node in violation["nodes"]
        }
        assert not barriers

    return check
