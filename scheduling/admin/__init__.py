"""Admin of places and plans. What is booked can be looked at: only verbs write it."""

from scheduling.admin import bookings, demand, places, supply, waitlist

__all__ = ["bookings", "demand", "places", "supply", "waitlist"]
