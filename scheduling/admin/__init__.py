"""Admin of places and plans. What is booked can be looked at: only verbs write it."""

from scheduling.admin import bookings, demand, places, reminders, supply, waitlist

__all__ = ["bookings", "demand", "places", "reminders", "supply", "waitlist"]
