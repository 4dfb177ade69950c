from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        # They register tasks, subscribers, system checks, metrics and consistency checks.
        from billing import checks, consistency, jobs, metrics  # noqa: F401
