"""Between a hold and its booking: details and consent, the way without a payment, and what the page is told."""

import dataclasses
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing import groups
from billing.gateway import GatewayError, Intent
from billing.models import Payment
from billing.refusals import refusal_sentence
from clinic_booking.models import User
from clinic_booking.sealed import sealed
from clinic_booking.templatetags.page import phone
from patients import consents, contacts
from patients.forms import AGREES
from patients.models import Patient
from patients.proxies import acts
from patients.proxies.forms import WhoForm
from scheduling import booking
from scheduling.errors import HoldExpired
from scheduling.models import Booking, Hold


@dataclasses.dataclass(frozen=True)
class Details:
    name: str
    email: str
    phone: str
    note: str

    @property
    def contacts(self) -> dict[str, str]:
        return {"name": self.name, "email": self.email, "phone": self.phone}


def needs_payment(hold: Hold) -> bool:
    """What is held together is paid together: what the clinics want when booking."""
    return groups.total_cents(hold) > 0


def known_details(user: Any, guest_id: int | None) -> dict[str, str]:
    """What the form starts with."""
    if user.is_authenticated:
        patient = _patient_of(user)
    else:
        patient = Patient.objects.filter(pk=guest_id).first() if guest_id else None
    if patient:
        return {"name": patient.name, "email": patient.email, "phone": phone(patient.phone)}
    return {"name": user.get_full_name(), "email": user.email} if user.is_authenticated else {}


def record_details(
    *, hold: Hold, details: Details, user: User | None, guest_id: int | None, who: WhoForm | None = None
) -> Patient:
    """Keep who comes, the note and the consent. `guest_id` is the patient this browser made earlier; `who` says that it
    is for somebody else than the login. Safe to repeat."""
    with transaction.atomic(durable=True):
        if hold.session_id and hold.patient:
            # Their session is booked, whoever sits at the browser: staff, or somebody with the link of an offer.
            patient = hold.patient
        elif who is not None and who.is_other:
            patient = who.patient(details.contacts)
        else:
            patient = (
                contacts.of_login(user=user, details=details.contacts) if user else _guest(guest_id, details)
            )
        is_for_other = acts.may_act(user, patient)
        how = consents.Asked("web", "checkout", str(AGREES), on_behalf=is_for_other)
        acts.note(
            by=user, patient=patient, subject=f"hold:{hold.pk}", what="booking", clinic_id=hold.clinic_id
        )
        consents.agree(patient=patient, by=user, how=how, clinic_id=hold.clinic_id)
        running = Hold.objects.filter(Q(pk=hold.pk) | Q(lead=hold.pk), ended_at=None)
        for pk in running.values_list("pk", flat=True):
            running.filter(pk=pk).update(note=sealed(Hold, "note", row=pk, text=details.note))
        try:
            with transaction.atomic():
                running.update(patient=patient)
        except IntegrityError as error:
            # One hold for each patient: they hold another time with another browser. This one stays the browser's.
            if "one_hold_for_each_patient" not in str(error):
                raise
    return patient


def _patient_of(user: User) -> Patient | None:
    return Patient.objects.filter(user=user).first()


def _guest(guest_id: int | None, details: Details) -> Patient:
    """One patient for each browser session. After the first visit, another name is another person."""
    patient = Patient.objects.filter(pk=guest_id, user=None).first() if guest_id else None
    if patient is None:
        return Patient.objects.create(**details.contacts)
    if {field: getattr(patient, field) for field in details.contacts} == details.contacts:
        return patient
    if Booking.objects.filter(patient=patient).exists():
        if patient.name != details.name:
            return Patient.objects.create(**details.contacts)
        return patient
    for field, value in details.contacts.items():
        setattr(patient, field, value)
    patient.save(update_fields=list(details.contacts))
    return patient


def confirm_without_payment(*, hold: Hold, patient: Patient, by: User | None) -> Booking:
    """Raises what `booking.confirm_hold` raises."""
    if needs_payment(hold):
        raise ValueError("this hold is to be paid")
    with transaction.atomic(durable=True):
        return booking.confirm_hold(hold_id=hold.pk, patient=patient, by=by)


def stripe_hosts() -> dict[str, list[str]]:
    """What the policy of the checkout page allows beyond that of the other pages."""
    if settings.STRIPE_REAL:
        scripts = ["https://js.stripe.com", "https://*.js.stripe.com"]
        return {
            "script-src": scripts,
            "frame-src": [*scripts, "https://hooks.stripe.com"],
            "connect-src": ["https://api.stripe.com"],
        }
    return {name: [settings.STRIPE_API_BASE] for name in ("script-src", "frame-src", "connect-src")}


# -- What the page is told -----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Standing:
    """How a checkout stands: paid, requires_action, failed, expired, taken or processing."""

    status: str
    message: str = ""
    booking: Booking | None = None
    client_secret: str = ""


PAID_BACK = _("This time could no longer be booked when your payment arrived. You get all of it back.")
NOT_CHARGED = {
    "slot_taken": _("Someone else has taken this time. You have not been charged."),
    "patient_busy": _("You already have a visit at this time. You have not been charged."),
    "capture_refused": _(
        "Your bank refused the payment after all. You have not been charged, nothing is booked."
    ),
}
WAITING = _("Your payment is being processed. Please keep this page open.")
# What the page's script may have to say by itself.
TEXTS = {
    "unavailable": _(
        "The payment fields could not be loaded. Please reload the page, or call the clinic to book."
    ),
    "lost": _("The connection is lost. We keep asking how your payment stands; please keep this page open."),
    "unfinished": _("The payment is not finished. Try again, or pay in another way."),
    "again": GatewayError.sentence,
}
GIVEN_UP = ("canceling", "canceled")
PAYING_BACK = ("refunding", "refunded", "refund_failed")


def standing(hold: Hold, intent: Intent | None = None) -> Standing:
    """`intent` is the payment's as just seen at the provider; it alone knows the secret for the next step."""
    payment = Payment.objects.filter(hold=hold).select_related("booking").first()
    booked = Booking.objects.filter(hold=hold).first()
    if payment and payment.status == Payment.Status.CAPTURING:
        return Standing("processing", str(WAITING), booking=booked)
    if booked and not (payment and payment.status in GIVEN_UP):
        return Standing("paid", booking=booked)
    if payment is None or payment.status == Payment.Status.CREATED:
        return Standing("failed" if hold.is_live(booking.database_now()) else "expired")
    if payment.status in PAYING_BACK:
        return Standing("taken", str(PAID_BACK))
    if payment.status in GIVEN_UP:
        message = NOT_CHARGED.get(payment.failure_code, HoldExpired.sentence)
        return Standing("taken" if payment.failure_code in NOT_CHARGED else "expired", str(message))
    if payment.status == Payment.Status.FAILED:
        return Standing("failed", failure_sentence(payment.failure_code))
    if payment.status == Payment.Status.REQUIRES_ACTION and intent and intent.status == "requires_action":
        return Standing("requires_action", client_secret=intent.client_secret)
    return Standing("processing", str(WAITING))


def failure_sentence(code: str) -> str:
    return str(GatewayError.sentence) if code in ("", "not_finished") else refusal_sentence(code)
