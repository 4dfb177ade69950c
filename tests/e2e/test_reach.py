"""What axe cannot see: the keyboard, the order of the focus, the size of what is touched, zoom."""

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import DAY
from tests.e2e.steps import ASKS_BANK, book, booked, choose, find_times, pay, to_checkout

pytestmark = pytest.mark.usefixtures("slots")
STEPS = 80
FOCUSED = """() => {
    const { tagName, type, textContent, labels, ariaLabel, title } = document.activeElement;
    return [tagName, labels?.[0]?.textContent || ariaLabel || title || textContent].map((t) => t.trim()).join(" ");
}"""
SMALL = """([selector, least]) => [...document.querySelectorAll(selector)].flatMap((each) => {
    const { width, height } = each.getBoundingClientRect();
    const hidden = !each.checkVisibility({ visibilityProperty: true });
    return hidden || (width >= least && height >= least) ? [] : [`${each.outerHTML.slice(0, 80)}: ${width} x ${height}`];
})"""


def too_small(page, selector, least):
    page.wait_for_selector("html[data-ready]")  # the styles are there then
    return page.evaluate(SMALL, [selector, least])


def tab_to(page, words):
    """Tab until the element with these words has the focus; its ring must be seen."""
    for _ in range(STEPS):
        page.keyboard.press("Tab")
        if words in page.evaluate(FOCUSED):
            ring = page.evaluate(
                "() => getComputedStyle(document.activeElement).outlineStyle"
                " + getComputedStyle(document.activeElement).boxShadow"
            )
            assert ring != "nonenone" or "IFRAME" in page.evaluate(FOCUSED), f"no ring around {words}"
            return
    raise AssertionError(f"Tab does not reach {words}")


def write(page, words, text):
    tab_to(page, words)
    page.keyboard.type(text)


def test_whole_visit_by_keyboard(page):
    page.goto("/")
    page.keyboard.press("Tab")
    assert "Skip to the content" in page.evaluate(FOCUSED)
    page.keyboard.press("Enter")
    tab_to(page, "General consultation")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Choose a time")).to_be_visible()
    expect(page.locator("[data-state=live]")).to_be_visible()
    tab_to(page, "09:20")
    page.keyboard.press(" ")
    expect(page.get_by_role("heading", name="Your details")).to_be_visible()
    write(page, "Full name", "Siti Rahmah")
    write(page, "E-mail", "siti@example.com")
    write(page, "Mobile phone", "9123 4567")
    tab_to(page, "I agree")
    page.keyboard.press(" ")
    tab_to(page, "Secure payment input frame")
    for text in ("4242424242424242", "1240", "123"):
        page.keyboard.press("Tab")
        page.keyboard.type(text)
    tab_to(page, "and book")
    page.keyboard.press("Enter")
    booked(page)


def test_order_of_the_focus_on_the_checkout(page, pay_at_clinic):
    find_times(page)
    choose(page)
    page.locator("main").focus()
    order = []
    while "Choose another time" not in "".join(order):
        page.keyboard.press("Tab")
        order.append(page.evaluate(FOCUSED))
        assert len(order) < STEPS
    words = (
        "more time",
        "Full name",
        "E-mail",
        "Mobile",
        "Note",
        "agree",
        "Privacy",
        "Confirm",
        "Choose another",
    )
    assert len(order) == len(words)
    assert all(word in found for word, found in zip(words, order, strict=True)), order


def test_focus_stays_in_the_dialogue_of_the_bank(page):
    to_checkout(page)
    pay(page, ASKS_BANK)
    challenge = page.frame_locator("iframe[title='Confirm with your bank']")
    expect(challenge.get_by_role("heading", name="Confirm with your bank")).to_be_focused()
    page.keyboard.press("Tab")
    expect(challenge.get_by_role("button", name="Complete")).to_be_focused()
    page.keyboard.press("Enter")
    booked(page)


@pytest.mark.parametrize("width", [390, 1280])
def test_what_is_touched_is_large(page, open_browser, receptionist, pay_at_clinic, service, slots, width):
    page.set_viewport_size({"width": width, "height": 800})
    find_times(page)
    small = too_small(page, ".slot, .day", 48)
    small += too_small(page, "button, .btn, input:not([type=radio],[type=hidden])", 44)
    choose(page)
    # Text fields are tall; a checkbox is touched by its label.
    small += too_small(page, "button, .btn, input:not([type=checkbox],[type=hidden]), textarea", 44)
    page.goto("/")
    small += too_small(page, "button, .btn, .place, .reason", 44)
    desk = open_browser(receptionist, viewport={"width": width, "height": 800})
    book(slots[1], service)
    desk.goto(f"/desk/tanjong-pagar/?date={DAY}")
    expect(desk.locator(".ec-event[role=button]")).to_be_visible()
    small += too_small(desk, "button, .btn, input:not([type=hidden])", 44)
    assert small == []


def test_menu_of_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/")
    menu = page.get_by_role("button", name="Menu")
    expect(menu).to_have_attribute("aria-expanded", "false")
    menu.press("Enter")
    page.get_by_role("link", name="Help").first.click()
    expect(page.get_by_role("heading", name="Help")).to_be_visible()


def test_theme_is_remembered(page):
    page.emulate_media(color_scheme="light")
    page.goto("/")
    page.get_by_role("button", name="Light or dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.goto("/help/")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_larger_text_fits(page, pay_at_clinic):
    """WCAG 1.4.4: text at 200 %, which a browser's own setting for the size of letters does."""
    page.set_viewport_size({"width": 640, "height": 800})
    find_times(page)
    for path in (page.url, "/"):
        page.goto(path)
        page.evaluate("() => document.documentElement.style.setProperty('font-size', '200%')")
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), path
