"""Bills, receipts and credit notes by e-mail, each once, with the PDF.

Their texts name the number and the amount and not the service: a message may be read by others. The bill itself must say
what was paid for (IRAS), so it is in the file and behind the link, which wants a login or the visit's own link.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing import bills, groups
from billing.documents import document_of
from billing.locks import lock_bill_by_id
from billing.models import Bill, CreditNote, DeskRefund, Payment
from billing.pdf import CONTENT_TYPE, pdf_of
from clinic_booking.events import publish, subscribe
from clinic_booking.messages.channels import Extras
from clinic_booking.messages.kinds import FACTS, Kind, register
from clinic_booking.messages.sending import overtaken
from clinic_booking.models import Event
from clinic_booking.templatetags.page import money
from scheduling.links import booking_url
from scheduling.message_kinds import place_facts
from scheduling.notifications import tell

FACTS.setdefault("original", _("the number of the bill that is taken back"))
NAMED = ("clinic", "address", "phone", "amount", "number", "link")

register(
    Kind("receipt", _("A bill is paid"), _("Your receipt from {clinic}"), NAMED),
    Kind("credit_note", _("A credit note"), _("Your credit note from {clinic}"), (*NAMED, "original")),
    Kind("contract_bill", _("A bill of a contract"), _("Your bill from {clinic}"), NAMED),
)


# -- That a bill is paid is news once ------------------------------------------------------------


@subscribe("counter.paid", "payment.succeeded", "bill.credited")
def announce_paid(event: Event) -> None:
    for bill_id in _bills_of(event):
        announce_if_paid(bill_id)


def _bills_of(event: Event) -> Iterable[int]:
    if event.data.get("bill"):
        return [event.data["bill"]]
    payment = Payment.objects.get(pk=event.data["payment"])
    if payment.bill_id:
        return [payment.bill_id]
    return [
        bills.keep_bill(booking_id).pk
        for booking_id in groups.bookings_of(payment).values_list("pk", flat=True)
    ]


def announce_if_paid(bill_id: int) -> None:
    """Publishes `bill.paid`, once for each bill: the bill's lock lets one of two look first."""
    with transaction.atomic(durable=True):
        bill = lock_bill_by_id(bill_id)
        subject = f"bill:{bill.pk}"
        if bill.status != Bill.Status.PAID or not bill.received_cents:
            return
        if Event.objects.filter(subject=subject, topic="bill.paid").exists():
            return
        data = {"bill": bill.pk, "booking": bill.booking_id, "paid_cents": bill.paid_cents}
        publish("bill.paid", subject, data, clinic_id=bill.clinic_id)


# -- Messages ------------------------------------------------------------------------------------


@subscribe("bill.paid")
def mail_receipt(event: Event) -> None:
    bill = _bill(event)
    if bill.status != Bill.Status.PAID:
        # Credited or given back since: that message says all.
        return overtaken(event)
    _send(event, "receipt", bill, bill, bill.paid_cents)


@subscribe("bill.issued")
def mail_contract_bill(event: Event) -> None:
    """The bill of a visit waits for its receipt."""
    bill = _bill(event)
    if bill.contract and bill.net_cents:
        _send(event, "contract_bill", bill, bill, bill.total_cents)


@subscribe("bill.credited")
def mail_credit_note(event: Event) -> None:
    """Not of a visit for which nothing was ever paid: the patient has seen no bill."""
    bill = _bill(event)
    note = CreditNote.objects.select_related("bill__clinic").get(pk=event.data["credit_note"])
    if DeskRefund.objects.filter(credit_note=note).exists():
        # Given back by the staff: that message has it with it.
        return overtaken(event)
    if bill.contract or bill.received_cents:
        _send(event, "credit_note", note, bill, note.amount_cents, original=bill.serial)


def _bill(event: Event) -> Bill:
    related = "clinic", "patient", "booking__clinic", "contract"
    return Bill.objects.select_related(*related).get(pk=event.data["bill"])


def _send(event: Event, kind: str, of: Bill | CreditNote, bill: Bill, cents: int, **more: str) -> None:
    tell(
        event=event,
        kind=kind,
        to=bill.patient,
        clinic=bill.clinic,
        facts=partial(facts_of, of, bill, cents, **more),
        extras=attached(of),
    )


def attached(of: Bill | CreditNote) -> Extras:
    document = document_of(of)
    return Extras(files=((document.file_name, pdf_of(document), CONTENT_TYPE),))


def facts_of(of: Bill | CreditNote, bill: Bill, cents: int, **more: str) -> dict[str, Any]:
    """The visit's own link opens its papers too; without a visit they want a login."""
    mine = f"{settings.SITE_URL}{reverse('my_bills')}"
    link = booking_url(bill.booking) if bill.booking else mine
    return {**place_facts(bill.clinic), "amount": money(cents), "number": of.serial, "link": link, **more}
