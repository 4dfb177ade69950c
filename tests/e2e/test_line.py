"""The socket of an open page goes down and comes back: the page says so, asks instead, and catches up."""

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import DAY
from tests.e2e.steps import book, find_times, hold, time

pytestmark = pytest.mark.usefixtures("pay_at_clinic")


class Line:
    """Between the page's sockets and the server."""

    def __init__(self, page):
        self.is_up, self.sockets = True, []
        page.route_web_socket("**/ws/**", self.connect)

    def connect(self, socket):
        if not self.is_up:
            return socket.close(code=1006)
        socket.connect_to_server()
        self.sockets.append(socket)

    def cut(self):
        self.is_up = False
        while self.sockets:
            self.sockets.pop().close()


@pytest.fixture
def line(page):
    return Line(page)


def test_times_are_asked_for_while_the_line_is_down(page, line, slots, service):
    page.clock.install()
    find_times(page)
    status = page.locator("[data-live-status]")
    expect(status).to_contain_text("Live")
    line.cut()
    expect(status).to_contain_text("Updating every 20 seconds")
    hold(slots[0], service)
    expect(time(page, "09:00")).to_be_enabled()
    page.clock.fast_forward(21_000)
    expect(time(page, "09:00")).to_be_disabled()
    book(slots[1], service)
    line.is_up = True
    page.clock.fast_forward(31_000)
    expect(status).to_contain_text("Live")
    expect(time(page, "09:20")).to_have_text("09:20Taken")


def test_desk_catches_up(open_browser, receptionist, slots, service, patient):
    desk = open_browser(receptionist)
    line = Line(desk)
    desk.clock.install()
    desk.goto(f"/desk/tanjong-pagar/?date={DAY}")
    status = desk.locator("[data-live-status]")
    expect(status).to_contain_text("Live")
    line.cut()
    expect(status).to_contain_text("Updating every 20 seconds")
    book(slots[0], service, patient)
    line.is_up = True
    desk.clock.fast_forward(31_000)
    expect(status).to_contain_text("Live")
    expect(desk.get_by_role("button", name=patient.name)).to_be_visible()
