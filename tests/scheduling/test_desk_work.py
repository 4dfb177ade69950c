import datetime as dt
import inspect
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from clinic_booking import events
from clinic_booking.events import publish
from clinic_booking.models import Event, Notification
from scheduling import booking, waitlist_offers, work_lists
from scheduling.models import (
    Booking,
    ChangePlan,
    ChangeProposal,
    DeskNote,
    Hold,
    Membership,
    WaitlistOffer,
)
from tests import factories

pytestmark = pytest.mark.django_db
HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


@pytest.fixture
def visit(slots, service, patient):
    return factories.book(slots[:1], service=service, patient=patient)


@pytest.fixture
def note(visit):
    doctor = factories.UserFactory()
    return DeskNote.objects.create(booking=visit, text="Follow-up in 2 weeks", written_by=doctor)


@pytest.fixture
def failed(visit):
    data = {"booking": visit.pk, "reference": visit.reference, "version": 1}
    event = publish("appointment.booked", f"booking:{visit.pk}", data, clinic_id=visit.clinic_id)
    ProcrastinateJob.objects.all()._raw_delete(using="default")
    return Notification.objects.create(
        event=event, kind="booked", status=Notification.Status.FAILED, attempts=10, error="SMTPServerBusy"
    )


def find(slug, clinic):
    return list(work_lists.LISTS[slug].find(clinic))


def jobs():
    return list(ProcrastinateJob.objects.filter(task_name="deliver").values_list("args", flat=True))


# -- Notes ---------------------------------------------------------------------------------------


def test_note_is_ticked_off_and_counted_as_an_act(desk, note, receptionist):
    page = desk.get("/desk/tanjong-pagar/work/")
    assert "Follow-up in 2 weeks" in page.content.decode()

    answer = desk.post(f"/desk/tanjong-pagar/work/notes/{note.pk}/done/", {"at": "0"}, **HTMX)

    note.refresh_from_db()
    assert answer.status_code == 200
    assert "Follow-up in 2 weeks" not in answer.content.decode()
    assert note.done_by == receptionist
    assert Event.objects.get(topic="note.done").data["by"] == receptionist.pk


def test_note_without_scripts_leads_back_to_its_list(desk, note):
    answer = desk.post(f"/desk/tanjong-pagar/work/notes/{note.pk}/done/")

    assert answer.status_code == 303
    assert answer["Location"] == "/desk/tanjong-pagar/work/#work-notes"


def test_second_tick_says_that_a_colleague_was_faster(desk, note):
    url = f"/desk/tanjong-pagar/work/notes/{note.pk}/done/"
    desk.post(url)

    answer = desk.post(url, **HTMX)

    assert "A colleague was faster." in answer.content.decode()
    assert Event.objects.filter(topic="note.done").count() == 1


def test_focus_goes_to_the_row_that_follows(desk, visit, note):
    others = [DeskNote.objects.create(booking=visit, text=t, written_by=note.written_by) for t in "BC"]

    answer = desk.post(f"/desk/tanjong-pagar/work/notes/{others[0].pk}/done/", {"at": "1"}, **HTMX)

    rows = answer.content.decode().split("<li ")
    assert "autofocus" not in rows[1]
    assert "autofocus" in rows[2]
    assert ">C<" in rows[2]


def test_note_of_another_clinic_is_not_found(desk, note):
    Booking.objects.update(clinic=factories.ClinicFactory())

    assert desk.post(f"/desk/tanjong-pagar/work/notes/{note.pk}/done/").status_code == 404
    note.refresh_from_db()
    assert note.done_at is None


def test_doctor_looks_and_does_not_act(desk, note, receptionist):
    Membership.objects.update(role=Membership.Role.DOCTOR)

    assert "Follow-up in 2 weeks" in desk.get("/desk/tanjong-pagar/work/").content.decode()
    assert desk.post(f"/desk/tanjong-pagar/work/notes/{note.pk}/done/").status_code == 403


def test_work_is_for_staff_of_the_clinic(client, patient, clinic):
    client.force_login(patient.user)

    assert client.get("/desk/tanjong-pagar/work/").status_code == 404
    assert client.get("/desk/tanjong-pagar/work/count/").status_code == 404


# -- Messages ------------------------------------------------------------------------------------


def test_failed_message_names_whom_to_call(failed, clinic, patient, visit):
    [row] = find("messages", clinic)

    assert (row.patient, row.phone, row.reference) == (patient.name, patient.phone, visit.reference)


def test_message_is_sent_again_once(desk, failed, mailoutbox):
    url = f"/desk/tanjong-pagar/work/messages/{failed.pk}/retry/"

    first, second = desk.post(url, **HTMX), desk.post(url, **HTMX)

    failed.refresh_from_db()
    assert "It is sent once more." in first.content.decode()
    assert "A colleague was faster." in second.content.decode()
    assert (failed.status, failed.attempts) == ("queued", 0)
    wanted = {
        "event_id": failed.event_id,
        "subscriber": "scheduling.notifications.mail_about_visit",
    }
    assert jobs() == [wanted]


def test_message_that_was_told_by_telephone_is_not_sent(desk, failed, clinic, receptionist):
    desk.post(f"/desk/tanjong-pagar/work/messages/{failed.pk}/phone/")

    failed.refresh_from_db()
    told = Event.objects.get(topic="notification.told")
    assert failed.status == Notification.Status.BY_PHONE
    assert told.data == {"notification": failed.pk, "by": receptionist.pk, "how": "phone"}
    assert find("messages", clinic) == []
    assert jobs() == []


def test_whoever_mails_is_named_so():
    """By that name a failed message is sent again."""
    senders = {
        name
        for handlers in events._subscribers.values()
        for name, handle in handlers.items()
        if re.search(r"\btell\(", inspect.getsource(handle))
    }

    assert senders
    assert {name for name in senders if not name.rsplit(".", 1)[-1].startswith("mail_")} == set()


# -- Offers and proposals ------------------------------------------------------------------------


def test_open_offer_is_listed_and_withdrawn(desk, slots, service, clinic, receptionist):
    entry = factories.wait(service)
    offer = waitlist_offers.offer(entry_id=entry.pk, slot_id=slots[0].pk, by=None)
    assert find("offers", clinic) == [offer]

    desk.post(f"/desk/tanjong-pagar/work/offers/{offer.pk}/withdrawal/", **HTMX)

    offer.refresh_from_db()
    assert offer.outcome == WaitlistOffer.Outcome.WITHDRAWN
    assert find("offers", clinic) == []
    assert Hold.objects.get(pk=offer.hold_id).ended_at


def test_visit_without_a_time_leads_to_its_times(desk, visit, receptionist, clinic):
    plan = ChangePlan.objects.create(
        clinic=clinic,
        kind="leave",
        payload={},
        status="applied",
        created_by=receptionist,
        ended_by=receptionist,
        ended_at=timezone.now(),
    )
    ChangeProposal.objects.create(
        plan=plan,
        booking=visit,
        booking_version=1,
        from_starts_at=visit.starts_at,
        from_practitioner=visit.practitioner,
        decision="open",
    )

    page = desk.get("/desk/tanjong-pagar/work/").content.decode()

    assert f"/desk/tanjong-pagar/supply/visits/{visit.reference}/" in page


# -- Unpaid --------------------------------------------------------------------------------------


def test_unpaid_visit_of_today_leads_to_its_payment(desk, clinic, practitioner, station, service):
    first, _until = clinic.day_bounds(clinic.today())
    slots = factories.make_slots(practitioner, station, first + dt.timedelta(hours=9))
    unpaid = factories.book(slots[:1], service=service)
    free = factories.book(slots[1:2], service=service, price_cents=0)
    factories.book(slots[2:3], service=service, status="noshow")

    assert find("unpaid", clinic) == [unpaid]
    page = desk.get("/desk/tanjong-pagar/work/").content.decode()
    assert f"/desk/tanjong-pagar/bookings/{unpaid.reference}/" in page
    assert free.reference not in page


# -- Contacts ------------------------------------------------------------------------------------


def test_missing_address_is_put_right_on_the_row(desk, visit, patient, clinic, receptionist):
    type(patient).objects.filter(pk=patient.pk).update(email="", phone="+6512")
    [row] = find("contacts", clinic)
    assert (row.lacks_email, row.lacks_phone) == (True, True)
    values = {"name": patient.name, "phone": "9123 4567", "email": "aisyah@example.com", "birth_date": ""}

    fields = {f"c{patient.pk}-{name}": value for name, value in values.items()}
    answer = desk.post(f"/desk/tanjong-pagar/work/contacts/{patient.pk}/", fields, **HTMX)

    patient.refresh_from_db()
    assert answer.status_code == 200
    assert (patient.phone, patient.email) == ("+6591234567", "aisyah@example.com")
    changed = Event.objects.get(topic="patient.changed")
    assert set(changed.data["fields"]) == {"phone", "email", "birth_date"}
    assert changed.data["by"] == receptionist.pk
    assert find("contacts", clinic) == []


def test_wrong_number_is_refused_beside_its_field(desk, visit, patient, clinic):
    type(patient).objects.filter(pk=patient.pk).update(email="")
    fields = {f"c{patient.pk}-name": patient.name, f"c{patient.pk}-phone": "12"}

    answer = desk.post(f"/desk/tanjong-pagar/work/contacts/{patient.pk}/", fields, **HTMX)

    assert answer.status_code == 422
    assert "Please enter a phone number such as 9123 4567." in answer.content.decode()


def test_no_email_at_all_is_noted(desk, visit, patient, clinic):
    type(patient).objects.filter(pk=patient.pk).update(email="")

    desk.post(f"/desk/tanjong-pagar/work/contacts/{patient.pk}/no-email/", **HTMX)

    assert find("contacts", clinic) == []


def test_look_alikes_are_shown_until_they_are_told_apart(desk, visit, patient, clinic):
    same = {"phone": patient.phone, "birth_date": patient.birth_date}
    twin = factories.known(factories.PatientFactory(name="Nurul A.", **same), clinic)
    factories.PatientFactory(name="Somebody Else", **same)
    factories.PatientFactory(name=patient.name, phone=patient.phone, birth_date=dt.date(2001, 1, 1))
    [row] = find("contacts", clinic)
    assert row.other == twin.pk

    desk.post(f"/desk/tanjong-pagar/work/contacts/{patient.pk}/apart/{twin.pk}/", **HTMX)

    assert find("contacts", clinic) == []


def test_patient_of_another_clinic_is_not_found(desk, other_patient):
    assert desk.post(f"/desk/tanjong-pagar/work/contacts/{other_patient.pk}/no-email/").status_code == 404


# -- All of it -----------------------------------------------------------------------------------


def test_each_list_is_one_query(failed, note, clinic):
    with CaptureQueriesContext(
        connection,
    ) as asked:
        work_lists.counts(clinic)

    assert len(asked) == len(work_lists.LISTS)


def test_tab_shows_how_much_waits(desk, failed, note):
    assert desk.get("/desk/tanjong-pagar/work/count/").content.decode().strip().startswith("2")


def test_nothing_to_do_is_said(desk, clinic):
    page = desk.get("/desk/tanjong-pagar/work/").content.decode()

    for work in work_lists.LISTS.values():
        assert str(work.empty) in page


def test_staff_who_book_move_and_cancel_are_named(slots, service, patient, receptionist):
    hold = factories.hold(slots[:1], service=service)
    made = booking.confirm_hold(hold_id=hold.pk, patient=patient, by=receptionist)
    booking.move_booking(booking_id=made.pk, slot_id=slots[2].pk, by=receptionist)
    booking.cancel_booking(booking_id=made.pk, by=receptionist, reason="desk")

    told = dict(Event.objects.filter(subject=f"booking:{made.pk}").values_list("topic", "data__by"))
    topics = ("appointment.booked", "appointment.moved", "appointment.cancelled")
    assert told == dict.fromkeys(topics, receptionist.pk)


def test_nobody_is_named_where_nobody_acted(slots, service, patient):
    hold = factories.hold(slots[:1], service=service)
    made = booking.confirm_hold(hold_id=hold.pk, patient=patient)

    assert "by" not in Event.objects.get(subject=f"booking:{made.pk}").data
