from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        from billing import checks, jobs  # noqa: F401  (registers checks, subscribers and tasks)
