"""What patients publishes. `fields` are names of fields, never what is in them."""

from clinic_booking.topics import declare

declare("patient.changed", "patient", {"patient": int, "fields": list[str], "by": int})
declare("patient.has_no_email", "patient", {"patient": int, "by": int})
declare("patients.told_apart", "patients", {"patients": list[int], "by": int})
declare(
    "identity.recorded",
    "patient",
    {"patient": int, "kind": str, "source": str, "seen": bool, "by": int},
    note="never the number; `seen`: the desk saw the document",
)
declare("consent.changed", "patient", {"patient": int, "purposes": list[str], "by": int | None})
declare("patient.login_linked", "patient", {"patient": int, "by": int})
declare("patient.login_unlinked", "patient", {"patient": int, "by": int})
declare("patient.singpass_linked", "patient", {"patient": int, "by": int}, note="the patient is told")
declare("patient.singpass_unlinked", "patient", {"patient": int, "by": int}, note="the patient is told")
declare(
    "privacy_request.step",
    "privacy_request",
    {"request": int, "act": str, "patient": int | None, "by": int | None},
)
declare("patient.details_confirmed", "patient", {"patient": int, "by": int})
declare(
    "incident.person",
    "incident",
    {"incident": int, "patient": int, "by": int},
    note="somebody is told of a breach",
)
declare(
    "patient.marked",
    "patient",
    {"patient": int, "code": str, "by": int},
    note="confidential or not any more; the code of HL7 v3-ActCode, VIP or EMP, or none",
)
declare("glass.broken", "glass", {"glass": int, "patient": int, "by": int})
declare("glass.reviewed", "glass", {"glass": int, "justified": bool, "by": int})
declare("proxy.granted", "proxy", {"proxy": int, "patient": int, "by": int | None})
declare("proxy.ended", "proxy", {"proxy": int, "patient": int, "why": str, "by": int | None})
