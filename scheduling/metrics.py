"""What scheduling counts at each scrape of /metrics."""

from collections.abc import Iterable

from django.db.models import Count
from django.db.models.functions import Now
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from clinic_booking.metrics import A_DAY, count_events, register
from scheduling.models import Clinic, Hold

COUNTERS = {
    "appointment.booked": "appointments_booked",
    "appointment.moved": "appointments_moved",
    "appointment.cancelled": "appointments_cancelled",
    "appointment.arrived": "appointments_arrived",
    "appointment.reverted": "appointments_reverted",
    "walk_in.arrived": "walk_ins",
    "appointment.fulfilled": "appointments_fulfilled",
    "appointment.noshow": "appointments_noshow",
    "hold.expired": "holds_expired",
    "request.matched": "requests_matched",
    "request.unmatched": "requests_unmatched",
    "waitlist.joined": "waitlist_joined",
    "waitlist.offered": "waitlist_offers",
}


def slugs() -> dict[int, str]:
    return dict(Clinic.objects.values_list("pk", "slug"))


@register
def events() -> Iterable[Metric]:
    return count_events(COUNTERS, slugs())


@register
def holds() -> Iterable[Metric]:
    recent = Hold.objects.filter(created_at__gte=Now() - A_DAY) | Hold.objects.filter(ended_at=None)
    rows = recent.values_list("clinic__slug", "end_reason").annotate(Count("pk")).order_by()
    metric = GaugeMetricFamily(
        "holds",
        "Holds that are open, and those of the last day by how they ended",
        labels=["clinic", "state"],
    )
    for slug, reason, n in rows:
        metric.add_metric([slug, reason or "open"], n)
    yield metric
