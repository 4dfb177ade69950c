from django.apps import AppConfig


class SchedulingConfig(AppConfig):
    name = "scheduling"

    def ready(self) -> None:
        from scheduling import finders, jobs, metrics, topics  # noqa: F401  (register what they hold)
