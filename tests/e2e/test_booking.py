"""From the front page to the confirmation."""

from tests.e2e.steps import booked, choose, confirm, fill_details, find_times


def test_books_without_paying_now(page, pay_at_clinic, slots):
    find_times(page)
    choose(page, "09:20")
    fill_details(page)
    confirm(page)
    booking = booked(page)
    assert (booking.patient.name, booking.starts_at) == ("Siti Rahmah", slots[1].starts_at)
