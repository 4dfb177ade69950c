from django.apps import AppConfig


class SchedulingConfig(AppConfig):
    name = "scheduling"
    audit_keeps = {
        f"scheduling_{settings}": ["*"]
        for settings in (
            "clinic",
            "equipment",
            "legalentity",
            "membership",
            "practitioner",
            "reminderrule",
            "scheduletemplate",
            "service",
            "service_practitioners",
            "servicepolicy",
            "station",
            "templatebreak",
            "walkingtime",
        )
    } | {
        "scheduling_booking": [
            "cancel_reason",
            "clinic_id",
            "ends_at",
            "patient_id",
            "practitioner_id",
            "starts_at",
            "station_id",
            "status",
        ],
        "scheduling_scheduleexception": ["ends_at", "kind", "starts_at", "withdrawn_at"],
    }
    # Claims and plans of minutes, which follow from bookings; each change of theirs is an event of the stream.
    audit_unwatched = {
        f"scheduling_{passing}"
        for passing in (
            "bookingpattern",
            "bookingpattern_clinics",
            "bookingpattern_practitioners",
            "bookingrequest",
            "changeproposal",
            "equipmentreservation",
            "hold",
            "reminder",
            "sessionticket",
            "slot",
            "visitticket",
            "waitlistoffer",
        )
    }

    def ready(self) -> None:
        from scheduling import (  # noqa: F401  (register what they hold)
            audit_alerts,
            audit_checks,
            erasure,
            finders,
            jobs,
            metrics,
            privacy_parts,
            topics,
            treating,
        )
