"""What billing counts at each scrape of /metrics."""

from collections.abc import Iterable

from prometheus_client.metrics_core import Metric

from clinic_booking.metrics import count_events, register
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
