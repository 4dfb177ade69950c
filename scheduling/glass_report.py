"""Every evening: what was opened by breaking the glass and nobody has looked at yet. Ids and a link, nothing else."""

from collections.abc import Iterable

from django.conf import settings
from django.core.mail import send_mail
from django.urls import reverse
from django.utils.translation import gettext as _
from procrastinate.contrib.django import app

from clinic_booking.jobs import RETRY
from clinic_booking.models import User
from clinic_booking.roles import OFFICES, Can, roles_with
from patients.models import BrokenGlass
from scheduling.models import Clinic


@app.periodic(cron="0 10 * * *")  # UTC: six in the evening in Singapore
@app.task(name="report_broken_glass", queue="ops", queueing_lock="report_broken_glass", retry=RETRY)
def report_broken_glass(timestamp: int) -> None:
    send_report()


def send_report() -> int:
    """To the managers of each clinic and to the privacy officers. Returns the number of openings."""
    waiting = list(BrokenGlass.objects.filter(reviewed_at=None).order_by("pk"))
    for clinic in Clinic.objects.filter(pk__in={each.clinic_id for each in waiting}):
        ids = [each.pk for each in waiting if each.clinic_id == clinic.pk]
        for user in readers(clinic):
            send_mail(_subject(clinic), _text(clinic, ids), settings.DEFAULT_FROM_EMAIL, [user.email])
    return len(waiting)


def readers(clinic: Clinic) -> Iterable[User]:
    """Who looks at what the staff of the clinic opened."""
    active = User.objects.filter(is_active=True).exclude(email="")
    offices = [office for office, allowed in OFFICES.items() if Can.REVIEW_GLASS in allowed]
    at_clinic = clinic.memberships.filter(role__in=roles_with([Can.REVIEW_GLASS]))
    return active.filter(pk__in=at_clinic.values("user")) | active.filter(office__in=offices)


def _subject(clinic: Clinic) -> str:
    return _("Records opened with a reason: %(clinic)s") % {"clinic": clinic.name}


def _text(clinic: Clinic, ids: list[int]) -> str:
    return _(
        "Staff of %(clinic)s opened records of another clinic, or confidential ones.\n"
        "To be looked at: %(ids)s\n%(link)s\n"
    ) % {
        "clinic": clinic.name,
        "ids": ", ".join(map(str, ids)),
        "link": f"{settings.SITE_URL}{reverse('glass_reviews')}",
    }
