from scheduling.models.bookings import Booking, EquipmentReservation, Hold, VisitTicket
from scheduling.models.changes import ChangePlan, ChangeProposal
from scheduling.models.demand import (
    BookingPattern,
    BookingRequest,
    PatternFields,
    SessionTicket,
    Urgency,
    WaitlistEntry,
    WaitlistOffer,
)
from scheduling.models.places import (
    Clinic,
    Equipment,
    LegalEntity,
    Membership,
    Practitioner,
    Service,
    Station,
    WalkingTime,
)
from scheduling.models.supply import ScheduleException, ScheduleTemplate, Slot, TemplateBreak

__all__ = [
    "Booking",
    "BookingPattern",
    "BookingRequest",
    "ChangePlan",
    "ChangeProposal",
    "Clinic",
    "Equipment",
    "EquipmentReservation",
    "Hold",
    "LegalEntity",
    "Membership",
    "PatternFields",
    "Practitioner",
    "ScheduleException",
    "ScheduleTemplate",
    "Service",
    "SessionTicket",
    "Slot",
    "Station",
    "TemplateBreak",
    "Urgency",
    "VisitTicket",
    "WaitlistEntry",
    "WaitlistOffer",
    "WalkingTime",
]
