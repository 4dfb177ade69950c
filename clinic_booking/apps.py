from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate


class ClinicBookingConfig(AppConfig):
    name = "clinic_booking"
    verbose_name = "Kernel"

    def ready(self) -> None:
        from clinic_booking import acting, checks, jobs  # noqa: F401  (they register checks and tasks)
        from clinic_booking.accounts import sessions  # noqa: F401  (it stamps each login)

        connection_created.connect(acting.tell, dispatch_uid="acting")
        from clinic_booking.retention.schedule import seed_after_migrate

        post_migrate.connect(seed_after_migrate, sender=self, dispatch_uid="retention_schedule")
