"""What sqlmap tries: the forms and the query parameters that reach a query."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class Target:
    name: str
    path: str
    data: str = ""
    logged_in: bool = False

    @property
    def method(self) -> str:
        return "POST" if self.data else "GET"


def targets() -> Iterator[Target]:
    """Values that exist where one can know them: of what is refused at once nothing is learned."""
    from scheduling.models import Booking, Clinic, Service, Slot

    service, clinic = (
        Service.objects.filter(is_online=True).first(),
        Clinic.objects.filter(is_active=True).first(),
    )
    day = (datetime.now(UTC) + timedelta(2)).date()
    slot = Slot.objects.filter(booking=None, hold=None, is_blocked=False, clinic=clinic).last()
    own = Booking.objects.filter(patient__user__username="patient@demo.example").first()
    if not (service and clinic and slot and own):
        raise SystemExit("The demo has no data to look for.")
    times = f"service={service.slug}&clinic={clinic.slug}&date={day}"
    yield Target("times", f"/book/?{times}")
    yield Target("home", f"/?clinic={clinic.slug}")
    yield Target("plan", f"/plan/?service={service.slug}&clinic={clinic.slug}&from={day}&find=1")
    yield Target("holds", "/holds/", f"slot={slot.pk}&service={service.pk}")
    yield Target("login", "/login/", "username=somebody%40example.com&password=wrong")
    yield Target("booking", f"/bookings/{own.reference}*/", logged_in=True)
    yield Target("move", f"/book/?{times}&move={own.reference}", logged_in=True)
    yield Target("me", "/me/?page=1&tab=past", logged_in=True)
    yield Target("consent", "/me/messages/", "language=en&reminders=on", logged_in=True)
    yield Target("report", "/messages/reports/sms/", "id=x&status=delivered")
