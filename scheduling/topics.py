"""What scheduling publishes. Times are ISO 8601; `by` is the user who did it, null or missing for patients and jobs."""

from clinic_booking.topics import declare

BOOKING = {"booking": int, "reference": str, "version": int}

declare(
    "appointment.booked",
    "booking",
    BOOKING | {"matched": bool | None, "overbooked": bool | None, "by": int | None},
    note="`matched`: planned with others, `request.matched` tells of all; `overbooked`: in no slot",
)
declare(
    "appointment.moved",
    "booking",
    BOOKING
    | {"from": str, "from_practitioner": int, "from_station": int, "from_clinic": int}
    | {"act": str | None, "moved": list[int] | None, "by": int | None},
    note="`from…`: before; `act`: key of an act of the desk that can be undone, `moved`: all that it moved",
)
declare(
    "appointment.cancelled",
    "booking",
    BOOKING | {"reason": str, "fee_cents": int | None, "by": int | None},
    note="`fee_cents`: what is charged all the same",
)
declare(
    "appointment.arrived",
    "booking",
    BOOKING | {"visit": int | None, "number": int | None, "walk_in": int | None, "by": int},
)
declare("appointment.called", "booking", BOOKING | {"station": int, "by": int})
declare("appointment.started", "booking", BOOKING | {"walk_in": int | None, "by": int})
declare("appointment.fulfilled", "booking", BOOKING | {"by": int})
declare("appointment.noshow", "booking", BOOKING | {"fee_cents": int | None, "by": int})
declare(
    "appointment.reverted",
    "booking",
    BOOKING | {"was": str, "by": int},
    note="`was`: arrived, called, started, fulfilled or noshow",
)
declare("appointment.confirmed_by_patient", "booking", BOOKING | {"by": int | None})
declare(
    "reminder.due",
    "visit",
    {"visit": int, "booking": int, "rule": int},
    note="`booking`: the first of the visit; all that the message is about have a Reminder row of this event",
)

declare("hold.expired", "hold", {"hold": str})

OF_CONTRACT = "`contract`: its reference, empty without one"
SESSIONS = {"request": int, "sessions": list[int], "count": int}
declare("request.matched", "request", SESSIONS | {"bookings": list[int]})
declare("request.unmatched", "request", SESSIONS)
declare("request.changed", "request", {"request": int, "contract": str, "by": int}, note=OF_CONTRACT)
declare("request.closed", "request", {"request": int, "contract": str, "by": int | None}, note=OF_CONTRACT)

declare("walk_in.arrived", "walk_in", {"walk_in": int, "number": int, "by": int})
declare("walk_in.called", "walk_in", {"walk_in": int, "station": int, "by": int})
declare("walk_in.left", "walk_in", {"walk_in": int, "by": int})

declare("waitlist.joined", "waitlist", {"entry": int, "by": int | None})
declare("waitlist.steered", "waitlist", {"entry": int, "by": int | None})
declare("waitlist.left", "waitlist", {"entry": int, "by": int | None})
declare("waitlist.offered", "waitlist", {"entry": int, "offer": int, "by": int | None})
declare("waitlist.offer_ended", "waitlist", {"entry": int, "offer": int, "by": int | None})

declare("supply.added", "clinic", {"first": str, "days": int, "added": int})
declare("supply.changed", "plan", {"plan": int, "moved": int, "open": int, "by": int | None})
declare("change.open", "booking", {"booking": int, "proposal": int})
declare("slots.changed", "clinic", {"slots": list[int], "status": str, "by": int})

declare("note.written", "note", {"note": int, "booking": int, "by": int})
declare("note.done", "note", {"note": int, "booking": int, "by": int})
declare("feed.opened", "feed", {"practitioner": int, "by": int})
declare("feed.revoked", "feed", {"practitioner": int, "by": int})
