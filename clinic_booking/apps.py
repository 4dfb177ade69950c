from django.apps import AppConfig


class ClinicBookingConfig(AppConfig):
    name = "clinic_booking"
    verbose_name = "Kernel"

    def ready(self) -> None:
        from clinic_booking import checks, jobs  # noqa: F401  (they register checks and tasks)
        from clinic_booking.accounts import sessions  # noqa: F401  (it stamps each login)
