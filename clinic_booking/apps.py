from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate


class ClinicBookingConfig(AppConfig):
    name = "clinic_booking"
    verbose_name = "Kernel"
    audit_keeps = {
        "clinic_booking_user": [
            "username",
            "email",
            "first_name",
            "last_name",
            "is_superuser",
            "is_staff",
            "is_active",
            "office",
        ],
        "clinic_booking_user_groups": ["*"],
        "clinic_booking_user_user_permissions": ["*"],
        "clinic_booking_messagetemplate": ["*"],
    }
    # The trails themselves; the stream of events and what is made of it, which says who acted and cannot be changed.
    audit_unwatched = {
        "clinic_booking_auditevent",
        "clinic_booking_auditchange",
        "clinic_booking_auditseal",
        "clinic_booking_auditalert",
        "clinic_booking_event",
        "clinic_booking_eventcount",
        "clinic_booking_notification",
        "clinic_booking_parked",
        "clinic_booking_reader",
    }

    def ready(self) -> None:
        from clinic_booking import acting, checks, jobs  # noqa: F401  (they register checks and tasks)
        from clinic_booking.accounts import sessions  # noqa: F401  (it stamps each login)
        from clinic_booking.audit import (
            changes,
            limit,  # noqa: F401  (a gate)
            months,  # noqa: F401  (what it takes away)
        )
        from clinic_booking.audit import jobs as audit_jobs  # noqa: F401
        from clinic_booking.retention import jobs as retention_jobs  # noqa: F401
        from clinic_booking.retention import kernel  # noqa: F401  (what it takes away)
        from clinic_booking.retention.schedule import seed_after_migrate

        connection_created.connect(acting.tell, dispatch_uid="acting")
        post_migrate.connect(changes.watch, sender=self, dispatch_uid="audit_changes")
        post_migrate.connect(seed_after_migrate, sender=self, dispatch_uid="retention_schedule")
