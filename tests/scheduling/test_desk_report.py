import csv
import datetime as dt
import io

import pytest

from clinic_booking.models import Event
from scheduling import charts, effort
from scheduling.models import Booking, BookingRequest, Membership
from tests import factories

pytestmark = pytest.mark.django_db
MONDAY = dt.date(2026, 3, 2)
NINE = dt.time(9)


@pytest.fixture
def manager(clinic):
    return factories.MembershipFactory(
        clinic=clinic, role=Membership.Role.MANAGER, user__username="manager@demo.example"
    ).user


@pytest.fixture
def desk(client, manager):
    client.force_login(manager)
    return client


def at(day, hour=9, minute=0, second=0):
    """In Singapore."""
    return dt.datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=dt.UTC) - dt.timedelta(
        hours=8
    )


@pytest.fixture
def make_booking(practitioner, station, service):
    """A visit of the first week of March 2026, booked two days before."""
    made = []

    def make_booking(source="online", **values):
        starts_at = at(MONDAY + dt.timedelta(2)) + dt.timedelta(minutes=20 * len(made))
        slots = factories.make_slots(practitioner, station, starts_at, slots=1)
        values = {"created_at": starts_at - dt.timedelta(2)} | values
        booking = factories.book(slots, service=service, **values)
        BookingRequest.objects.filter(sessions=booking.session).update(source=source)
        made.append(booking)
        return booking

    return make_booking


def tell(topic, by, when, clinic, **data):
    """An event of that instant, with no more of its data than the report reads."""
    data |= {"by": by.pk} if by else {}
    Event.objects.create(
        topic=topic, subject="test:1", data=data, clinic_id=clinic and clinic.pk, created_at=when
    )


def figures(*clinics, first=MONDAY, days=7):
    return effort.report(clinics=clinics, first=first, last=first + dt.timedelta(days - 1))


# -- What is counted -----------------------------------------------------------------------------


def test_bookings_are_counted_by_channel(make_booking, clinic, receptionist):
    for source in ("online", "online", "desk", "walk_in", "contract"):
        make_booking(source)
    chosen = make_booking("contract", hold=factories.HoldFactory())
    by_desk = make_booking("contract", hold=factories.HoldFactory())
    accepted = make_booking("contract")
    hold = factories.HoldFactory(kind="offer", session=accepted.session, patient=accepted.patient)
    entry = factories.WaitlistEntryFactory(session=accepted.session, status="booked", ended_at=at(MONDAY))
    entry.offers.create(hold=hold, outcome="accepted", ended_at=at(MONDAY))
    for booking, data in ((chosen, {}), (by_desk, {"by": receptionist.pk})):
        Event.objects.create(
            topic="appointment.booked", subject=f"booking:{booking.pk}", data=data, clinic_id=clinic.pk
        )

    whole = figures(clinic).of()

    assert whole.channels == {"online": 3, "desk": 2, "walk_in": 1, "matched": 1, "waitlist": 1}
    assert whole.self_service == 5 / 8


def test_acts_of_staff_are_counted_and_those_of_patients_are_not(clinic, receptionist, patient):
    tell("appointment.booked", receptionist, at(MONDAY, 9), clinic)
    tell("appointment.moved", receptionist, at(MONDAY, 10), clinic)
    tell("slots.changed", receptionist, at(MONDAY, 11), clinic)
    tell("appointment.cancelled", patient.user, at(MONDAY, 12), clinic)
    tell("appointment.booked", None, at(MONDAY, 13), clinic)

    assert figures(clinic).of().acts == {"booked": 1, "moved": 1, "hours": 1}


def test_acts_of_the_day_are_counted_apart(clinic, receptionist):
    tell("appointment.arrived", receptionist, at(MONDAY, 9), clinic)
    tell("appointment.fulfilled", receptionist, at(MONDAY, 9, 20), clinic)

    whole = figures(clinic).of()

    assert (whole.scheduling_acts, whole.day_acts) == (0, 2)


def test_what_one_click_does_is_one_act(clinic, receptionist, manager):
    for second in (0, 0, 1, 2):
        tell("appointment.moved", receptionist, at(MONDAY, 9, 0, second), clinic)
    tell("supply.changed", receptionist, at(MONDAY, 9, 0, 2), clinic)
    tell("appointment.moved", manager, at(MONDAY, 9, 0, 1), clinic)
    tell("appointment.moved", receptionist, at(MONDAY, 9, 0, 9), clinic)

    assert figures(clinic).of().scheduling_acts == 3


def test_act_without_a_clinic_counts_where_its_actor_works(clinic, receptionist):
    tell("waitlist.steered", receptionist, at(MONDAY), None)

    assert figures(clinic).of().acts == {"waitlist": 1}


def test_acts_are_compared_with_the_baseline_of_the_clinic(make_booking, clinic, receptionist):
    clinic.manual_acts, clinic.manual_minutes = 5, 2
    clinic.save()
    for _n in range(4):
        make_booking()
    for hour in range(8):
        tell("appointment.moved", receptionist, at(MONDAY, hour), clinic)

    whole = figures(clinic).of()

    assert whole.acts_each == 2
    assert whole.saved == pytest.approx(0.6)
    assert whole.saved_minutes == 2 * (4 * 5 - 8)


def test_rates_and_lead_time(make_booking, clinic):
    make_booking(status=Booking.Status.FULFILLED)
    make_booking(status=Booking.Status.NOSHOW)
    make_booking(cancelled=True)
    make_booking(status=Booking.Status.FULFILLED, created_at=at(MONDAY + dt.timedelta(1)))

    whole = figures(clinic).of()

    assert (whole.no_show_rate, whole.cancel_rate) == (1 / 3, 1 / 4)
    assert whole.lead_days == pytest.approx(2, abs=0.1)


def test_utilisation_leaves_out_what_is_blocked(make_booking, clinic, practitioner, station):
    make_booking()
    factories.make_slots(practitioner, station, at(MONDAY), slots=3)
    blocked = factories.make_slots(practitioner, station, at(MONDAY, 14), slots=5)
    type(blocked[0]).objects.filter(pk__in=[s.pk for s in blocked]).update(is_blocked=True)

    assert figures(clinic).of().utilisation == 1 / 4


def test_weeks_are_those_of_the_clinic(make_booking, clinic):
    make_booking(created_at=dt.datetime(2026, 3, 1, 16, 30, tzinfo=dt.UTC))  # Monday there

    report = figures(clinic, first=MONDAY - dt.timedelta(7), days=14)

    assert report.of(week=MONDAY).bookings == 1
    assert report.of(week=MONDAY - dt.timedelta(7)).bookings == 0


def test_nothing_at_all_is_no_failure(clinic):
    whole = figures(clinic).of()

    assert (whole.bookings, whole.saved, whole.utilisation, whole.lead_days) == (0, None, None, None)


# -- The page ------------------------------------------------------------------------------------


def test_manager_sees_the_report(desk, make_booking):
    make_booking()

    answer = desk.get("/desk/tanjong-pagar/report/?from=2026-03-02&to=2026-03-08")

    page = answer.content.decode()
    assert answer.status_code == 200
    assert "Fewer scheduling acts than by hand" in page
    assert '<rect class="series-0"' in page
    assert "style=" not in page


@pytest.mark.parametrize("role", [Membership.Role.RECEPTIONIST, Membership.Role.DOCTOR])
def test_report_is_for_managers(desk, role):
    Membership.objects.update(role=role)

    assert desk.get("/desk/tanjong-pagar/report/").status_code == 404
    assert desk.get("/desk/tanjong-pagar/report.csv").status_code == 404
    assert "/report/" not in desk.get("/desk/tanjong-pagar/work/").content.decode()


def test_all_clinics_are_those_of_the_manager(desk, manager):
    mine = factories.MembershipFactory(user=manager, role=Membership.Role.MANAGER).clinic
    as_receptionist = factories.MembershipFactory(user=manager).clinic

    page = desk.get("/desk/tanjong-pagar/report/?all=1&from=2026-03-02&to=2026-03-08")

    assert list(page.context["report"].clinics) == sorted(
        [mine, page.context["clinic"]], key=lambda c: c.name
    )
    assert as_receptionist not in page.context["report"].clinics


@pytest.mark.parametrize("query", ["from=2026-03-08&to=2026-03-02", "from=2020-01-01&to=2026-01-01", "to=x"])
def test_impossible_period_is_refused(desk, query):
    assert desk.get(f"/desk/tanjong-pagar/report/?{query}").status_code == 422


def test_empty_period_says_so(desk):
    page = desk.get("/desk/tanjong-pagar/report/?from=2026-03-02&to=2026-03-08").content.decode()

    assert "Nothing was booked in this period." in page


def test_download_is_what_spreadsheets_read(desk, make_booking, clinic):
    clinic.name = '=HYPERLINK("x"), east'
    clinic.save()
    make_booking()

    answer = desk.get("/desk/tanjong-pagar/report.csv?from=2026-03-02&to=2026-03-08")

    text = answer.content.decode("utf-8-sig")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    assert "\r\n" in text
    assert answer["Content-Disposition"] == 'attachment; filename="effort-2026-03-02-2026-03-08.csv"'
    head, row = csv.reader(io.StringIO(text, newline=""))
    assert row[:3] == ['\'=HYPERLINK("x"), east', "2026-03-02", "1"]
    assert len(row) == len(head)


# -- Charts --------------------------------------------------------------------------------------


def test_bars_stand_upon_each_other():
    chart = charts.stacked(["a", "b"], [[3, 0], [1, 2]], ["x", "y"])

    first, second, third = chart.bars
    assert first.y + first.height == chart.bottom
    assert second.y + second.height == pytest.approx(first.y)
    assert (third.series, third.title) == (1, "b: y 2")
    assert [text for _y, text in chart.ticks] == ["0", "1", "2", "3", "4"]


def test_line_leaves_out_what_is_unknown():
    chart = charts.lines(["a", "b", "c"], [[1.5, None, 0.5]], ["x"])

    assert len(chart.lines[0].dots) == 2
    assert chart.lines[0].dots[0][2] == "a: x 1.50"


def test_empty_chart_has_an_axis():
    assert charts.lines([], [], []).ticks[0][1] == "0"
