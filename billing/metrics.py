"""What billing counts at each scrape of /metrics."""

from collections.abc import Iterable

from django.db.models import Count
from django.db.models.functions import Now
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from billing.models import Payment
from clinic_booking.metrics import A_DAY, count_events, register
from scheduling.metrics import slugs

COUNTERS = {
    "payment.succeeded": "payments_success",
    "payment.failed": "payments_failure",
    "payment.refunded": "payments_refunded",
    "bill.issued": "bills_issued",
}


@register
def events() -> Iterable[Metric]:
    return count_events(COUNTERS, slugs())


@register
def states() -> Iterable[Metric]:
    recent = Payment.objects.filter(created_at__gte=Now() - A_DAY) | Payment.objects.exclude(
        status__in=Payment.SETTLED
    )
    counted = dict(recent.values_list("status").annotate(Count("pk")).order_by())
    states = GaugeMetricFamily(
        "payments", "Payments that are open, and those of the last day by status", labels=["status"]
    )
    for status in Payment.Status.values:
        states.add_metric([status], counted.get(status, 0))
    problems = GaugeMetricFamily("payments_with_problem", "Payments that a person must look at")
    problems.add_metric([], Payment.objects.exclude(problem="").count())
    return [states, problems]
