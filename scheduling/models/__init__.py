from scheduling.models.bookings import Booking, Hold, VisitTicket
from scheduling.models.demand import BookingRequest, SessionTicket
from scheduling.models.places import Clinic, LegalEntity, Membership, Practitioner, Service, Station
from scheduling.models.supply import ScheduleException, ScheduleTemplate, Slot, TemplateBreak

__all__ = [
    "Booking",
    "BookingRequest",
    "Clinic",
    "Hold",
    "LegalEntity",
    "Membership",
    "Practitioner",
    "ScheduleException",
    "ScheduleTemplate",
    "Service",
    "SessionTicket",
    "Slot",
    "Station",
    "TemplateBreak",
    "VisitTicket",
]
