"""What a bill and a credit note say, on the page and in the PDF, and who may read them."""

import pypdfium2
import pytest
from django.urls import reverse

from billing import bills, counter
from billing.documents import document_of
from billing.models import CounterPayment, CreditNote
from billing.pdf import pdf_of
from scheduling.links import booking_url
from scheduling.models import LegalEntity
from tests import factories

NAMES = "Siti Nurhaliza · 陈美玲 · முருகன்"


@pytest.fixture
def booking(slots, service, patient):
    return factories.book(slots[:1], service=service, patient=patient)


@pytest.fixture
def registered(clinic):
    LegalEntity.objects.filter(pk=clinic.legal_entity_id).update(gst_number="M9-2099000-X")


@pytest.fixture
def bill(booking):
    return bills.keep_bill(booking.pk)


def pay(bill, by, cents=None):
    taken = counter.take_payment(
        bill_id=bill.pk,
        amount_cents=cents or bill.due_cents,
        method=CounterPayment.Method.CASH,
        reference="",
        by=by,
    )
    bill.refresh_from_db()
    return taken


def credit(bill, cents):
    return bills.credit(bill, cents=cents, reason=CreditNote.Reason.GOODWILL, note="was angry")


def words(pdf):
    """All text of a PDF, read by another library than the one that wrote it."""
    with pypdfium2.PdfDocument(pdf) as document:
        return " ".join(" ".join(page.get_textpage().get_text_bounded() for page in document).split())


def plain(text):
    return " ".join(text.split())


def said(document):
    """Every word and number of it, in order."""
    amounts = [word for each in (*document.lines, *document.sums) for word in (each.label, each.text)]
    facts = [word for fact in document.facts for word in fact]
    return [document.title, document.issuer, *document.issuer_lines, *facts, *amounts, *document.statements]


def sums(document):
    return [(each.label.split(",")[0], each.cents) for each in document.sums]


# -- What is said --------------------------------------------------------------------------------


def test_who_is_not_registered_issues_a_bill_without_gst(bill):
    document = document_of(bill)
    assert (document.kind, document.title) == ("bill", "Bill")
    assert not any("GST" in word or "nvoice" in word for word in said(document))
    assert sums(document) == [("Total", 6500), ("Still to be paid", 6500)]


def test_who_is_registered_issues_a_tax_invoice(registered, bill):
    document = document_of(bill)
    assert document.title == "Tax invoice"
    assert "GST registration number M9-2099000-X" in document.issuer_lines
    assert document.statements == ("Price payable includes GST: S$\u00a05.37 at 9 %.",)
    assert sums(document)[0] == ("Total", 6500)


def test_above_a_thousand_dollars_the_invoice_is_a_full_one(registered, slots, service, patient):
    service.price_cents = 100_001
    service.save()
    document = document_of(bills.keep_bill(factories.book(slots[:1], service=service, patient=patient).pk))
    assert sums(document)[:3] == [
        ("Total without GST", 91744),
        ("GST 9 %", 8257),
        ("Total with GST", 100_001),
    ]


def test_a_paid_bill_is_a_receipt(bill, receptionist):
    pay(bill, receptionist)
    document = document_of(bill)
    assert (document.kind, document.title) == ("receipt", "Receipt")
    assert sums(document) == [("Total", 6500), ("Paid at the clinic (Cash)", -6500), ("Nothing to pay", 0)]


def test_a_paid_tax_invoice_stays_one(registered, bill, receptionist):
    pay(bill, receptionist)
    assert document_of(bill).title == "Tax invoice and receipt"


def test_nothing_to_pay_is_no_tax_invoice(registered, slots, service, patient):
    service.price_cents = 0
    service.save()
    bill = bills.keep_bill(factories.book(slots[:1], service=service, patient=patient).pk)
    assert document_of(bill).title == "Receipt"


def test_parts_and_credits_lead_to_the_balance(bill, receptionist):
    pay(bill, receptionist, 2000)
    credit(bill, 500)
    bill.refresh_from_db()
    note = bill.credit_notes.get().serial
    assert sums(document_of(bill)) == [
        ("Total", 6500),
        (f"Credit note {note}", -500),
        ("Total after credit", 6000),
        ("Paid at the clinic (Cash)", -2000),
        ("Still to be paid", 4000),
    ]


def test_what_was_given_back_is_on_the_bill(bill, receptionist):
    pay(bill, receptionist)
    credit(bill, 6500)
    assert sums(document_of(bill))[-1] == ("To be given back to you", 6500)
    counter.return_payment(bill_id=bill.pk, by=receptionist)
    bill.refresh_from_db()
    assert sums(document_of(bill))[-2:] == [("Given back at the clinic", 6500), ("Nothing to pay", 0)]


def test_credit_note_names_its_bill_and_reason_but_not_the_staffs_words(registered, bill):
    document = document_of(credit(bill, 6500))
    facts = dict(document.facts)
    assert document.title == "Credit note"
    assert facts["Takes back"].startswith(f"Tax invoice {bill.serial}, ")
    assert (facts["Reason"], facts["For"]) == ("Goodwill", bill.patient.name)
    assert sums(document) == [("Without GST", 5963), ("GST 9 %", 537), ("Credited", 6500)]
    assert "was angry" not in str(said(document))


# -- The PDF -------------------------------------------------------------------------------------


def test_pdf_says_what_the_page_says(client, registered, bill, patient, receptionist):
    pay(bill, receptionist, 2000)
    credit(bill, 500)
    client.force_login(patient.user)
    for of in (bill, bill.credit_notes.get()):
        of.refresh_from_db()
        document = document_of(of)
        page = plain(client.get(reverse(*where(of))).content.decode().replace("&nbsp;", " "))
        text = words(pdf_of(document))
        for word in said(document):
            assert plain(word) in page
            assert plain(word).replace(" ", "") in text.replace(" ", "")


def test_names_in_four_scripts_are_written_and_read_back(bill):
    bill.patient.name = NAMES
    pdf = pdf_of(document_of(bill))
    assert NAMES in words(pdf)
    assert b"/MarkInfo<</Marked true" in pdf
    assert b"/Lang(en" in pdf


def test_a_letter_without_a_font_spoils_nothing(bill):
    bill.patient.name = "Ravi \u0930\u0935\u093f"
    assert "Ravi" in words(pdf_of(document_of(bill)))


def test_names_are_text_not_markup(bill):
    bill.patient.name = '#panic("x") *Tan* $1 \\ @a <b>'
    assert '#panic("x") *Tan* $1' in words(pdf_of(document_of(bill)))


def test_the_same_bill_has_the_same_bytes(bill):
    assert pdf_of(document_of(bill)) == pdf_of(document_of(bill))


def test_pages_are_drawn(bill):
    with pypdfium2.PdfDocument(pdf_of(document_of(bill))) as document:
        picture = document[0].render(scale=1).to_numpy()
        assert len(document) == 1
        assert document.get_metadata_value("Title") == f"Bill {bill.serial}"
        assert document.get_metadata_value("CreationDate") == ""
    assert 0.005 < (picture < 128).mean() < 0.2


# -- Who may read it -----------------------------------------------------------------------------


def where(of):
    return ("credit_note" if isinstance(of, CreditNote) else "bill"), None, [of.pk]


def addresses(bill):
    note = bill.credit_notes.first() or credit(bill, 100)
    return [
        *(reverse(name, args=[bill.pk]) for name in ("bill", "bill_pdf")),
        *(reverse(name, args=[note.pk]) for name in ("credit_note", "credit_note_pdf")),
    ]


def test_the_patient_and_the_clinics_staff_may_read(client, bill, patient, receptionist):
    for user in (patient.user, receptionist):
        client.force_login(user)
        assert [client.get(url).status_code for url in addresses(bill)] == [200] * 4


def test_to_others_it_does_not_exist(client, bill, other_patient):
    elsewhere = factories.MembershipFactory().user
    for user in (other_patient.user, elsewhere):
        client.force_login(user)
        assert [client.get(url).status_code for url in addresses(bill)] == [404] * 4
    client.logout()
    assert [client.get(url).status_code for url in addresses(bill)] == [404] * 4


def test_the_link_of_the_visit_opens_its_bill(client, bill, booking):
    client.get(booking_url(booking).removeprefix("http://127.0.0.1:8000"), follow=True)
    assert client.get(reverse("bill", args=[bill.pk])).status_code == 200
    assert (
        reverse("bill", args=[bill.pk])
        in client.get(reverse("booking", args=[booking.reference])).content.decode()
    )


def test_my_bills_are_mine(client, bill, patient, other_patient, django_assert_max_num_queries):
    client.force_login(patient.user)
    with django_assert_max_num_queries(8):
        page = client.get(reverse("my_bills")).content.decode()
    assert bill.serial in page
    assert (f'href="{reverse("booking", args=[bill.booking.reference])}"' in page) == bool(bill.due_cents)
    client.force_login(other_patient.user)
    assert bill.serial not in client.get(reverse("my_bills")).content.decode()


def test_pdf_is_sent_as_one(client, bill, patient):
    client.force_login(patient.user)
    answer = client.get(reverse("bill_pdf", args=[bill.pk]))
    assert answer["Content-Type"] == "application/pdf"
    assert f'filename="{bill.serial}.pdf"' in answer["Content-Disposition"]
    assert "no-store" in answer["Cache-Control"]
