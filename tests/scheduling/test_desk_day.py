"""The desk's acts on visits, its queue, tickets, and the waiting room's screen. At the clinic it is about noon."""

import datetime as dt

import pytest
from django.db import transaction
from django.urls import reverse

from clinic_booking.models import Event
from scheduling import booking, consistency, live
from scheduling.day_queue import day_queue
from scheduling.models import Booking, Membership, Slot, VisitTicket, WalkIn
from tests import factories
from tests.scheduling.midday import minutes, now, zone_at_noon

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic(db):
    return factories.ClinicFactory(slug="tanjong-pagar", name="Tanjong Pagar", time_zone=zone_at_noon())


@pytest.fixture
def slots(practitioner, station, service):
    """One that began half an hour ago, one that began ten minutes ago, and four to come."""
    return factories.make_slots(practitioner, station, now() - minutes(30))


@pytest.fixture
def desk(client, receptionist):
    client.force_login(receptionist)
    return client


def visit(slots, n, service, patient, **values):
    return factories.book(slots[n : n + 1], service=service, patient=patient, **values)


def press(desk, made, act, *, back="details", htmx=True, version=None):
    made.refresh_from_db()
    url = reverse("visit_act", args=[made.clinic.slug, made.reference])
    headers = {"hx-request": "true"} if htmx else {}
    data = {"act": act, "version": version or made.version, "back": back}
    return desk.post(url, data, headers=headers)


def test_visit_goes_through_its_day(desk, slots, service, patient):
    made = visit(slots, 2, service, patient)
    for act, shown in (
        ("arrive", "A 001"),
        ("call", "Call again"),
        ("start", "With the doctor"),
        ("complete", "Undo"),
    ):
        response = press(desk, made, act)
        assert response.status_code == 200
        assert shown in response.content.decode()
    made.refresh_from_db()
    assert made.status == "fulfilled"
    assert press(desk, made, "undo").status_code == 200
    assert Event.objects.filter(topic="appointment.reverted", data__by__isnull=False).count() == 1


def test_slower_receptionist_is_told(desk, slots, service, patient):
    made = visit(slots, 2, service, patient)
    press(desk, made, "arrive")
    late = press(desk, made, "arrive", version=1)
    assert late.status_code == 409
    assert "Someone changed this visit just now" in late.content.decode()
    in_queue = press(desk, made, "arrive", version=1, back="queue")
    assert in_queue.status_code == 409
    assert "Someone changed this visit just now" in in_queue.content.decode()


def test_acts_without_scripts_lead_back(desk, slots, service, patient, clinic):
    made = visit(slots, 2, service, patient)
    for act, back, url in (
        ("arrive", "queue", reverse("desk_queue", args=[clinic.slug])),
        ("call", "details", reverse("desk_booking", args=[clinic.slug, made.reference])),
        ("start", "list", f"{reverse('desk', args=[clinic.slug])}?date={clinic.today()}&list=1"),
    ):
        assert press(desk, made, act, back=back, htmx=False).headers["location"] == url
    press(desk, made, "arrive", back="queue", htmx=False)
    assert "already noted" in desk.get(reverse("desk_queue", args=[clinic.slug])).content.decode()


def test_list_and_details_offer_what_comes_next(desk, slots, service, patient, clinic):
    made = visit(slots, 2, service, patient)
    listed = desk.get(
        reverse("desk", args=[clinic.slug]), {"date": clinic.today(), "list": 1}
    ).content.decode()
    assert 'value="arrive"' in listed
    details = desk.get(reverse("desk_booking", args=[clinic.slug, made.reference])).content.decode()
    assert 'data-act-key="a"' in details
    assert 'value="no-show"' not in details, "it has not begun"


def test_doctor_looks_but_does_not_act(client, clinic, slots, service, patient):
    doctor = factories.MembershipFactory(clinic=clinic, role=Membership.Role.DOCTOR).user
    client.force_login(doctor)
    made = visit(slots, 2, service, patient)
    assert client.get(reverse("desk_queue", args=[clinic.slug])).status_code == 200
    page = client.get(reverse("desk_booking", args=[clinic.slug, made.reference])).content.decode()
    assert 'name="act"' not in page
    assert press(client, made, "arrive").status_code == 403
    made.refresh_from_db()
    assert made.status == "booked"


def test_staff_of_another_clinic_may_neither(client, clinic, slots, service, patient):
    client.force_login(factories.MembershipFactory().user)
    made = visit(slots, 2, service, patient)
    assert client.get(reverse("desk_queue", args=[clinic.slug])).status_code == 404
    assert client.get(reverse("visit_ticket", args=[clinic.slug, made.visit_id])).status_code == 404
    assert press(client, made, "arrive").status_code == 404


@pytest.mark.parametrize("data", [{}, {"act": "delete", "version": 1}, {"act": "arrive", "version": "x"}])
def test_nonsense_is_not_found(desk, slots, service, patient, data):
    made = visit(slots, 2, service, patient)
    url = reverse("visit_act", args=[made.clinic.slug, made.reference])
    assert desk.post(url, data).status_code == 404
    assert desk.get(url).status_code == 405


# -- The queue -----------------------------------------------------------------------------------


@pytest.fixture
def full_day(clinic, slots, service, receptionist):
    """Late, with the doctor, waiting, a walk-in, one to come; names say which."""
    names = {0: "Lateness", 1: "Inside", 2: "Seated", 3: "Tocome"}
    made = {
        name: visit(slots, n, service, factories.PatientFactory(name=f"{name} Tan"))
        for n, name in names.items()
    }
    with transaction.atomic():
        booking.start(booking_id=made["Inside"].pk, by=receptionist)
        booking.check_in(booking_id=made["Seated"].pk, by=receptionist)
        walker = factories.PatientFactory(name="Walker Tan")
        walk_in = booking.add_walk_in(clinic=clinic, patient=walker, service=service, by=receptionist)
    return made, walk_in


def test_queue_joins_everybody(clinic, full_day):
    queue = day_queue(clinic, now() + minutes(1))
    named = {
        group: [p.visit.patient.name.split()[0] for p in getattr(queue, group)]
        for group in ("here", "treated", "late", "expected", "done")
    }
    assert named == {
        "here": ["Walker", "Seated"], "treated": ["Inside"], "late": ["Lateness"], "expected": ["Tocome"], "done": []
    }  # fmt: skip


def test_waits_follow_from_who_is_inside(clinic, full_day):
    first, second = day_queue(clinic, now() + minutes(1)).here
    assert 15 <= first.wait <= 20
    assert second.wait == pytest.approx(first.wait + 20, abs=1)


def test_urgent_one_goes_first(clinic, full_day):
    made, _walk_in = full_day
    request = made["Seated"].session.request
    request.urgency = 2
    request.save()
    assert day_queue(clinic, now() + minutes(1)).here[0].booking == made["Seated"]


def test_who_is_at_another_station_is_not_late(clinic, slots, service, patient, receptionist):
    visit(slots, 0, service, patient)
    inside = visit(slots, 1, service, patient)
    with transaction.atomic():
        booking.start(booking_id=inside.pk, by=receptionist)
    queue = day_queue(clinic, now() + minutes(1))
    assert queue.late == []
    assert len(queue.expected) == 1


def test_queue_page_has_phones_and_waits(desk, clinic, full_day, django_assert_max_num_queries):
    with django_assert_max_num_queries(16):
        page = desk.get(reverse("desk_queue", args=[clinic.slug])).content.decode()
    made, walk_in = full_day
    assert f'href="tel:{made["Lateness"].patient.phone}"' in page
    assert "min more" in page
    assert f'data-socket="/ws/clinics/{clinic.slug}/{clinic.today()}/"' in page
    assert reverse("walk_in_act", args=[clinic.slug, walk_in.pk, "call"]) in page
    fragment = desk.get(
        reverse("desk_queue", args=[clinic.slug]), headers={"hx-request": "true"}
    ).content.decode()
    assert "<html" not in fragment


def test_walk_in_is_called_served_or_leaves(desk, clinic, full_day):
    _made, walk_in = full_day

    def post(act, of=walk_in):
        url = reverse("walk_in_act", args=[clinic.slug, of.pk, act])
        return desk.post(url, headers={"hx-request": "true"})

    assert post("call").status_code == 200
    assert post("start").status_code == 200
    walk_in.refresh_from_db()
    assert walk_in.booking.status == "arrived"
    assert post("leave").status_code == 409
    assert post("dance").status_code == 404
    other = factories.PatientFactory()
    with transaction.atomic():
        gone = booking.add_walk_in(
            clinic=clinic, patient=other, service=walk_in.session.request.service, by=factories.UserFactory()
        )
    assert post("leave", gone).status_code == 200
    assert WalkIn.objects.get(pk=gone.pk).left_at


def test_ticket_shows_all_stops(desk, clinic, slots, service, patient, receptionist):
    first, second = visit(slots, 2, service, patient), visit(slots, 4, service, patient)
    with transaction.atomic():
        booking.check_in(booking_id=first.pk, by=receptionist)
    page = desk.get(reverse("visit_ticket", args=[clinic.slug, first.visit_id])).content.decode()
    assert "A 001" in page
    assert page.count("data-stop=") == 2
    assert "20 min between" in page
    assert second.station.name in page


# -- The screen ----------------------------------------------------------------------------------


def test_screen_shows_numbers_and_rooms_only(client, clinic, full_day, receptionist, monkeypatch):
    pushed = []
    monkeypatch.setattr(live, "announce", lambda changes: pushed.extend(changes))
    made, walk_in = full_day
    with transaction.atomic():
        booking.call(booking_id=made["Seated"].pk, by=receptionist)
        booking.call_walk_in(walk_in_id=walk_in.pk, by=receptionist)
    url = reverse("screen", args=[clinic.slug])
    for page in (client.get(url), client.get(url, headers={"hx-request": "true"})):
        text = page.content.decode()
        tickets = {VisitTicket.objects.get(pk=v).ticket for v in (made["Seated"].visit_id, walk_in.visit_id)}
        assert all(ticket in text for ticket in tickets)
        assert "Room 1" in text
        for each in Booking.objects.select_related("patient", "service", "practitioner"):
            secrets = each.patient.name.split()[0], each.service.name, each.practitioner.name, each.reference
            assert not [secret for secret in (*secrets, each.patient.phone) if secret in text]
        assert "Walker" not in text
        assert page.headers["cache-control"].endswith("private")
    for clinic_id, day, slot_id, version, status, until in pushed:
        assert (clinic_id, day, until) == (clinic.pk, clinic.today(), None)
        assert isinstance(slot_id, int)
        assert isinstance(version, int)
        assert status in {"booked", "changed"}


def test_who_has_gone_in_leaves_the_screen(client, clinic, full_day, receptionist):
    made, _walk_in = full_day
    with transaction.atomic():
        booking.call(booking_id=made["Seated"].pk, by=receptionist)
        booking.start(booking_id=made["Seated"].pk, by=receptionist)
    ticket = VisitTicket.objects.get(pk=made["Seated"].visit_id).ticket
    url = reverse("screen", args=[clinic.slug])
    assert ticket in client.get(url).content.decode(), "for two minutes more"
    Booking.objects.filter(pk=made["Seated"].pk).update(started_at=now() - dt.timedelta(minutes=3))
    assert ticket not in client.get(url).content.decode()


def test_screen_of_no_clinic(client, clinic):
    assert client.get(reverse("screen", args=["nowhere"])).status_code == 404
    type(clinic).objects.update(is_active=False)
    assert client.get(reverse("screen", args=[clinic.slug])).status_code == 404


# -- A walk-in for whom nobody is free -------------------------------------------------------------


@pytest.fixture
def crowded(slots, service, clinic, practitioner, station, patient, receptionist):
    """Every time is taken; the patient waits."""
    hours = factories.ScheduleTemplateFactory(clinic=clinic, practitioner=practitioner, station=station)
    Slot.objects.update(template=hours)
    for n in range(len(slots)):
        visit(slots, n, service, factories.PatientFactory())
    with transaction.atomic():
        return booking.add_walk_in(clinic=clinic, patient=patient, service=service, by=receptionist)


def start(desk, walk_in, **headers):
    return desk.post(reverse("walk_in_act", args=["tanjong-pagar", walk_in.pk, "start"]), headers=headers)


def test_walk_in_is_served_beside_others_on_purpose(desk, crowded, receptionist, slots):
    Membership.objects.filter(user=receptionist).update(can_overbook=True)
    shown = start(desk, crowded, hx_request="true")
    page = f"/desk/tanjong-pagar/overbook/?walk_in={crowded.pk}"
    assert shown.status_code == 409
    assert page in shown.content.decode()
    assert start(desk, crowded)["Location"] == page
    form = desk.get(page).context["form"]
    filled = {name: form[name].value() for name in ("walk_in", "patient", "service", "practitioner", "date")}
    refused = desk.post(page, filled | {"time": f"{form['time'].value():%H:%M}", "act": "book"})
    assert refused.status_code == 422
    filled |= {"time": f"{form['time'].value():%H:%M}", "act": "book", "reason": "In pain"}
    assert desk.post(page, filled)["Location"] == "/desk/tanjong-pagar/queue/"
    crowded.refresh_from_db()
    served = crowded.booking
    assert (served.status, served.starts_at, served.session) == (
        "arrived",
        slots[1].starts_at,
        crowded.session,
    )
    assert served.started_at
    assert served.overbooking.reason == "In pain"
    assert list(consistency.broken()) == []


def test_who_may_not_overbook_is_told_that_nobody_is_free(desk, crowded):
    shown = start(desk, crowded, hx_request="true")
    assert shown.status_code == 409
    assert "overbook/" not in shown.content.decode()
    assert desk.get(f"/desk/tanjong-pagar/overbook/?walk_in={crowded.pk}").status_code == 404
