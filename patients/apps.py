from django.apps import AppConfig


class PatientsConfig(AppConfig):
    name = "patients"

    def ready(self) -> None:
        from patients import jobs  # noqa: F401  (registers subscribers and tasks)
