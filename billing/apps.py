from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        from billing import checks, jobs, metrics  # noqa: F401  (register what they hold)
