"""A letter to the privacy officers about what is to be answered: at most one a day for each request."""

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from clinic_booking.models import User
from patients.models import PrivacyRequest, PrivacyStep
from patients.rights import mail, requests


def remind() -> int:
    """How many requests it was about. Safe to repeat on the same day."""
    due = [request for request in requests.to_remind() if not _was_reminded(request)]
    if not due:
        return 0
    with transaction.atomic():
        for request in due:
            PrivacyStep.objects.create(request=request, act=PrivacyStep.Act.REMINDED)
        mail.reminder(_officers(), [_line(request) for request in due])  # when it fails, nobody was reminded
    return len(due)


def _was_reminded(request: PrivacyRequest) -> bool:
    last = request.steps.filter(act=PrivacyStep.Act.REMINDED).order_by("-pk").first()
    return last is not None and last.created_at.astimezone(requests.zone()).date() == requests.today()


def _officers() -> list[str]:
    officers = User.objects.filter(office=User.Office.PRIVACY_OFFICER, is_active=True).exclude(email="")
    return sorted({settings.DPO_EMAIL, *officers.values_list("email", flat=True)})


def _line(request: PrivacyRequest) -> tuple[str, int, str]:
    link = f"{settings.SITE_URL}{reverse('privacy_request', args=[request.pk])}"
    return request.reference, request.days_left(requests.today()), link
