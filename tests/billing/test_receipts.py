"""Receipts, credit notes and contracts' bills by e-mail: each once, with the PDF, and without the reason in the text."""

import pypdfium2
import pytest
from django.core import mail

from billing import bills, contracts, counter, receipts
from billing.models import Bill, CreditNote
from clinic_booking.models import Event, Notification
from tests import factories
from tests.billing.courses import make_draft, make_mornings
from tests.billing.steps import cancel, pay, payment_of, run_jobs


@pytest.fixture
def bill(slots, service, patient):
    return bills.keep_bill(factories.book(slots[1:2], service=service, patient=patient).pk)


def take(bill, by, cents):
    return counter.take_payment(bill_id=bill.pk, amount_cents=cents, method="cash", reference="", by=by)


def letters(kind):
    """Those of a kind, told by the file's name and the notification."""
    assert Notification.objects.filter(kind=kind).exclude(status="sent").count() == 0
    return [letter for letter in mail.outbox if kind_of(letter) == kind]


def kind_of(letter):
    names = {"Your receipt": "receipt", "Your credit note": "credit_note", "Your bill": "contract_bill"}
    return next((kind for words, kind in names.items() if letter.subject.startswith(words)), "")


def attached(letter):
    [(name, content, mimetype)] = letter.attachments
    assert mimetype == "application/pdf"
    with pypdfium2.PdfDocument(content) as document:
        return name, document[0].get_textpage().get_text_bounded()


def test_receipt_comes_when_all_is_paid(bill, receptionist, patient):
    take(bill, receptionist, 2000)
    run_jobs()
    assert letters("receipt") == []
    take(bill, receptionist, 4500)
    run_jobs()
    [letter] = letters("receipt")
    name, text = attached(letter)
    assert (letter.to, name) == ([patient.email], f"{bill.serial}.pdf")
    assert "Receipt" in text
    assert "General consultation" in text
    assert "consultation" not in letter.body.lower()
    assert "S$\u00a065.00" in letter.body
    assert f"/bookings/{bill.booking.reference}/?key=" in letter.body


def test_receipt_of_an_online_payment(client, double, engine, hold):
    assert pay(client, hold, engine.confirmation_token())["status"] == "paid"
    run_jobs()
    [letter] = letters("receipt")
    assert Bill.objects.get(booking=payment_of(hold).booking).serial in attached(letter)[0]


def test_events_that_come_again_send_nothing_again(bill, receptionist):
    take(bill, receptionist, 6500)
    run_jobs()
    for event in Event.objects.filter(topic__in=["counter.paid", "bill.paid"]):
        (receipts.announce_paid if event.topic == "counter.paid" else receipts.mail_receipt)(event)
    run_jobs()
    assert len(letters("receipt")) == Event.objects.filter(topic="bill.paid").count() == 1


def test_credit_note_comes_with_the_cancellation(client, double, engine, hold):
    assert pay(client, hold, engine.confirmation_token())["status"] == "paid"
    run_jobs()
    cancel(payment_of(hold).booking)
    run_jobs()
    [letter] = letters("credit_note")
    note = CreditNote.objects.get()
    name, text = attached(letter)
    assert name == f"{note.serial}.pdf"
    assert "Credit note" in text
    assert note.bill.serial in letter.body


def test_nobody_hears_of_the_credit_of_a_bill_that_was_never_seen(slots, service, patient, bill):
    cancel(bill.booking)
    run_jobs()
    assert CreditNote.objects.count() == 1
    assert letters("credit_note") == letters("receipt") == []


def test_paid_and_given_back_before_the_letter_went_is_no_receipt(bill, receptionist):
    take(bill, receptionist, 6500)
    receipts.announce_if_paid(bill.pk)
    bills.credit(bill, cents=6500, reason=CreditNote.Reason.GOODWILL)
    run_jobs()
    assert letters("receipt") == []
    assert len(letters("credit_note")) == 1


def test_nothing_to_pay_is_no_news(slots, service, patient):
    service.price_cents = 0
    service.save()
    made = bills.keep_bill(factories.book(slots[:1], service=service, patient=patient).pk)
    receipts.announce_if_paid(made.pk)
    run_jobs()
    assert letters("receipt") == []


def test_bill_of_a_contract_comes_on_signing(clinic, patient, service, station, practitioner):
    make_mornings(practitioner, station)
    draft = make_draft(clinic, patient, service)
    contracts.confirm_contract(reference=draft.reference, by=None, plan=False)
    run_jobs()
    [letter] = letters("contract_bill")
    assert attached(letter)[0] == f"{draft.bills.get().serial}.pdf"
    assert letter.body.count("/me/bills/") == 1
    assert service.name.lower() not in letter.body.lower()
