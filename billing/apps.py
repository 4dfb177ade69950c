from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        # They register tasks, subscribers, topics, system checks, metrics, consistency checks and a list of work.
        from billing import book_checks, checks, consistency, desk_ways, jobs, metrics, receipts, topics, work  # noqa: F401
