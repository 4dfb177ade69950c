from django.apps import AppConfig


class ClinicBookingConfig(AppConfig):
    name = "clinic_booking"
    verbose_name = "Kernel"

    def ready(self) -> None:
        from clinic_booking import jobs  # noqa: F401  (registers the tasks)
