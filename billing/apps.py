from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        from billing import jobs  # noqa: F401  (registers subscribers and tasks)
