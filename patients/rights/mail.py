"""Letters about rights: a code, that a copy is ready, what waits for the privacy officer. No names in them."""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from patients.models import Patient


def send(*, to: list[str], subject: str, name: str, **facts: object) -> None:
    """By a job or after the commit: never under a lock."""
    context = {"brand": settings.BRAND, "dpo_email": settings.DPO_EMAIL, "subject": subject, **facts}
    text = render_to_string(f"email/privacy_{name}.txt", context)
    html = render_to_string(f"email/privacy_{name}.html", context)
    letter = EmailMultiAlternatives(subject, text, to=to)
    letter.attach_alternative(html, "text/html")
    letter.send()


def copy_is_ready(patient: Patient, link: str) -> None:
    if patient.email:
        send(to=[patient.email], subject=_("The copy of your data is ready"), name="copy", link=link)


def reminder(to: list[str], rows: list[tuple[str, int, str]]) -> None:
    """Ids, days left and links only."""
    send(to=to, subject=_("Privacy requests to be answered"), name="due", rows=rows)
