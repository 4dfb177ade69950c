import datetime as dt

import pytest
from django.apps import apps
from django.contrib import admin as django_admin
from django.core.exceptions import ValidationError
from django.urls import reverse

from scheduling import changes
from scheduling.models import Booking, ChangePlan, Clinic, ScheduleTemplate, Slot
from tests import factories
from tests.scheduling.replanning import at, no_holidays, practise, tomorrow, visit

VERBS_OWN = [
    "slot",
    "hold",
    "booking",
    "visitticket",
    "sessionticket",
    "bookingrequest",
    "changeplan",
    "changeproposal",
]
EDITABLE = [
    "equipment",
    "walkingtime",
    "legalentity",
    "clinic",
    "station",
    "practitioner",
    "service",
    "membership",
    "scheduletemplate",
    "scheduleexception",
]


@pytest.fixture
def admin(client, clinic):
    client.force_login(factories.clerk(clinic))
    return client


@pytest.fixture
def everything(slots, service, receptionist):
    factories.hold(slots[:1], service=service)
    factories.book(slots[1:2], service=service)
    factories.ScheduleTemplateFactory(breaks=[(dt.time(10), dt.time(10, 20))])
    factories.ScheduleExceptionFactory()
    factories.ConsentFactory(patient=Booking.objects.get().patient)
    plan = ChangePlan.objects.create(
        clinic=slots[0].clinic, kind="saved", payload={}, created_by=receptionist
    )
    booking = Booking.objects.get()
    plan.proposals.create(
        booking=booking,
        booking_version=1,
        from_starts_at=booking.starts_at,
        from_practitioner=booking.practitioner,
        decision="open",
    )
    factories.EquipmentFactory(clinic=slots[0].clinic)
    factories.WalkingTimeFactory()


def first_of(model):
    app = "patients" if model in ("patient", "consent") else "scheduling"
    return app, apps.get_model(app, model).objects.first()


def test_every_model_has_its_page():
    shown = {model._meta.model_name for model in django_admin.site._registry}

    assert {*VERBS_OWN, *EDITABLE, "patient", "consent"} <= shown


@pytest.mark.parametrize("model", [*EDITABLE, *VERBS_OWN, "patient", "consent"])
def test_pages_open(admin, everything, model, django_assert_max_num_queries):
    app, row = first_of(model)

    with django_assert_max_num_queries(14):
        listed = admin.get(reverse(f"admin:{app}_{model}_changelist"), {"q": "a"})
    shown = admin.get(reverse(f"admin:{app}_{model}_change", args=[row.pk]))

    assert listed.status_code == shown.status_code == 200


@pytest.mark.parametrize("model", VERBS_OWN)
def test_what_verbs_own_cannot_be_changed(admin, everything, model):
    app, row = first_of(model)
    before = list(type(row).objects.values())

    assert admin.post(reverse(f"admin:{app}_{model}_change", args=[row.pk]), {}).status_code == 403
    assert admin.post(reverse(f"admin:{app}_{model}_delete", args=[row.pk])).status_code == 403
    assert admin.get(reverse(f"admin:{app}_{model}_add")).status_code == 403
    assert list(type(row).objects.values()) == before


def test_token_of_a_hold_is_not_shown(admin, slots):
    hold = factories.hold(slots[:1], owner="secret-of-the-browser")

    page = admin.get(reverse("admin:scheduling_hold_change", args=[hold.pk]))

    assert "secret-of-the-browser" not in page.content.decode()


def test_patients_are_not_deleted(admin, patient):
    assert admin.post(reverse("admin:patients_patient_delete", args=[patient.pk])).status_code == 403


def test_lists_have_no_queries_for_each_row(admin, practitioner, station, django_assert_max_num_queries):
    factories.make_slots(practitioner, station, factories.tomorrow_at(9), slots=40)

    with django_assert_max_num_queries(10):
        assert admin.get(reverse("admin:scheduling_slot_changelist")).status_code == 200


def form_of(template, **values):
    data = {
        "clinic": template.clinic_id,
        "practitioner": template.practitioner_id,
        "station": template.station_id,
        "weekdays": [1, 2],
        "starts_at": "09:00",
        "ends_at": "12:00",
        "slot_minutes": 20,
        "overbook_limit": 2,
        "valid_from": "2024-01-01",
        "every_n_weeks": 1,
        "breaks-TOTAL_FORMS": 1,
        "breaks-INITIAL_FORMS": 0,
        "breaks-0-starts_at": "10:00",
        "breaks-0-ends_at": "10:20",
    }
    return data | values


ADD = "admin:scheduling_scheduletemplate_add"


def test_template_is_made_with_its_break(admin, clinic, practitioner, station):
    template = factories.ScheduleTemplateFactory.build(
        clinic=clinic, practitioner=practitioner, station=station
    )

    answer = admin.post(reverse(ADD), form_of(template), follow=True)

    made = ScheduleTemplate.objects.get()
    assert (made.weekdays, made.breaks.get().ends_at) == ([1, 2], dt.time(10, 20))
    plan = ChangePlan.objects.get()
    assert "Look at the plan and apply it" in answer.content.decode()
    assert f"/supply/plans/{plan.pk}/" in answer.content.decode()
    assert plan.added > 0
    assert not Slot.objects.exists()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"ends_at": "09:00"}, "The end must be after the start."),
        ({"valid_until": "2023-01-01"}, "“Valid until” is before “valid from”."),
        ({"weekdays": [8]}, "Select a valid choice."),
        ({"weekdays": []}, "This field is required."),
        ({"breaks-0-ends_at": "09:00"}, "The end must be after the start."),
        ({"slot_minutes": 0}, "Ensure this value is greater than or equal to 5."),
    ],
)
def test_template_that_makes_no_sense_is_explained(admin, clinic, practitioner, station, values, sentence):
    template = factories.ScheduleTemplateFactory.build(
        clinic=clinic, practitioner=practitioner, station=station
    )

    page = admin.post(reverse(ADD), form_of(template, **values))

    assert sentence in page.content.decode()
    assert not ScheduleTemplate.objects.exists()


def test_station_of_another_clinic_is_explained(admin, clinic, practitioner):
    template = factories.ScheduleTemplateFactory.build(
        clinic=clinic, practitioner=practitioner, station=factories.StationFactory()
    )

    page = admin.post(reverse(ADD), form_of(template))

    assert "This station belongs to another clinic." in page.content.decode()


def test_overlapping_template_is_explained(admin, clinic, practitioner, station):
    factories.ScheduleTemplateFactory(clinic=clinic, practitioner=practitioner, station=station)
    other = factories.ScheduleTemplateFactory.build(
        clinic=clinic, practitioner=factories.PractitionerFactory(), station=station
    )

    page = admin.post(reverse(ADD), form_of(other, starts_at="11:40", ends_at="14:00"))

    assert "Dr Lim Wei Jie already has hours at “Room 1” that overlap: 09:00–12:00." in page.content.decode()


@pytest.mark.parametrize(
    ("values", "overlaps"),
    [
        ({}, True),
        ({"starts_at": dt.time(12), "ends_at": dt.time(13)}, False),
        ({"weekdays": [7]}, False),
        ({"weekdays": [6, 7, 1]}, True),
        ({"valid_from": dt.date(2025, 1, 1)}, False),
        ({"valid_from": dt.date(2020, 1, 1), "valid_until": dt.date(2023, 12, 31)}, False),
        ({"valid_from": dt.date(2024, 1, 8), "every_n_weeks": 2}, False),
        ({"valid_from": dt.date(2024, 1, 8), "every_n_weeks": 3}, True),
        ({"valid_from": dt.date(2024, 1, 15), "every_n_weeks": 2}, True),
        ({"starts_at": dt.time(10), "ends_at": dt.time(10, 20)}, False),
        ({"starts_at": dt.time(10), "ends_at": dt.time(10, 40)}, True),
    ],
)
def test_overlap_counts_days_weeks_and_breaks(clinic, practitioner, station, values, overlaps):
    factories.ScheduleTemplateFactory(
        clinic=clinic,
        practitioner=practitioner,
        station=station,
        weekdays=[1, 2, 3, 4, 5],
        every_n_weeks=2,
        valid_until=dt.date(2024, 12, 31),
        breaks=[(dt.time(10), dt.time(10, 20))],
    )
    template = factories.ScheduleTemplateFactory.build(
        clinic=factories.ClinicFactory(), practitioner=practitioner, station=None, **values
    )
    template.station = factories.StationFactory(clinic=template.clinic)

    assert bool(template.overlapping()) is overlaps


def test_template_does_not_overlap_itself(clinic, practitioner, station):
    template = factories.ScheduleTemplateFactory(clinic=clinic, practitioner=practitioner, station=station)

    template.full_clean()


def test_template_that_made_slots_is_not_deleted(admin, clinic, practitioner, station):
    template = factories.ScheduleTemplateFactory(clinic=clinic, practitioner=practitioner, station=station)
    factories.make_slots(practitioner, station, factories.tomorrow_at(9))
    Slot.objects.update(template=template)

    page = admin.post(
        reverse("admin:scheduling_scheduletemplate_delete", args=[template.pk]), {"post": "yes"}
    )

    assert "6 slots of" in page.content.decode()
    assert ScheduleTemplate.objects.exists()
    Slot.objects.all().delete()
    admin.post(reverse("admin:scheduling_scheduletemplate_delete", args=[template.pk]), {"post": "yes"})
    assert not ScheduleTemplate.objects.exists()


def test_exception_without_the_needed_names_is_explained(admin, clinic):
    page = admin.post(
        reverse("admin:scheduling_scheduleexception_add"),
        {
            "kind": "leave",
            "clinic": clinic.pk,
            "slot_minutes": 20,
            "starts_at_0": "2030-01-01",
            "starts_at_1": "00:00",
            "ends_at_0": "2030-01-02",
            "ends_at_1": "00:00",
        },
    )

    assert "Leave needs a practitioner" in page.content.decode()


def test_clinic_with_slots_is_protected(admin, slots):
    page = admin.post(
        reverse("admin:scheduling_clinic_delete", args=[slots[0].clinic_id]), {"post": "yes"}, follow=True
    )

    assert page.status_code == 200
    assert Clinic.objects.exists()


def test_booking_is_found_by_its_reference(admin, slots):
    booking = factories.book(slots[:1])
    factories.BookingFactory()

    page = admin.get(reverse("admin:scheduling_booking_changelist"), {"q": booking.reference})

    assert page.context["cl"].result_count == 1
    assert Booking.objects.count() == 2


def test_fields_are_validated_on_the_model_too(clinic, practitioner):
    exception = factories.ScheduleExceptionFactory.build(
        kind="extra_hours", clinic=clinic, practitioner=practitioner, station=factories.StationFactory()
    )

    with pytest.raises(ValidationError, match="another clinic"):
        exception.full_clean()


# -- Saving makes a plan -------------------------------------------------------------------------


@pytest.fixture
def planned(clinic, monkeypatch):
    no_holidays(monkeypatch)
    service = factories.ServiceFactory()
    return practise(clinic, service), service


def test_saved_leave_shows_the_visits_it_hits(admin, planned):
    template, service = planned
    made = visit(template, service, 9)
    fields = {"kind": "leave", "practitioner": template.practitioner_id, "slot_minutes": 20}
    fields |= {f"starts_at_{n}": part for n, part in enumerate((tomorrow(template.clinic), "00:00"))}
    fields |= {f"ends_at_{n}": part for n, part in enumerate((tomorrow(template.clinic), "23:00"))}

    answer = admin.post(reverse("admin:scheduling_scheduleexception_add"), fields, follow=True)

    plan = ChangePlan.objects.get()
    assert plan.proposals.get().booking == made
    assert "Visits hit: 1." in answer.content.decode()
    assert Slot.objects.filter(booking=made).count() == 1
    changes.apply_plan(plan_id=plan.pk, by=plan.created_by)
    made.refresh_from_db()
    assert made.starts_at == at(template.clinic, 9, day=2)


def test_changed_practitioner_reaches_both(admin, planned):
    template, service = planned
    visit(template, service, 9)
    other = factories.PractitionerFactory()
    service.practitioners.add(other)
    values = {"practitioner": other.pk, "weekdays": [1, 2, 3, 4, 5, 6, 7], "breaks-TOTAL_FORMS": 0}

    admin.post(
        reverse("admin:scheduling_scheduletemplate_change", args=[template.pk]), form_of(template, **values)
    )

    plan = ChangePlan.objects.get()
    assert plan.proposals.get().practitioner == other
    assert plan.removed == 5 * 9 - 1


def test_deleted_leave_shows_what_comes_back(admin, planned):
    template, _service = planned
    leave = factories.ScheduleExceptionFactory(
        leave=True,
        practitioner=template.practitioner,
        starts_at=at(template.clinic, 0, day=2),
        ends_at=at(template.clinic, 0, day=3),
    )
    Slot.objects.filter(starts_at__gte=leave.starts_at, starts_at__lt=leave.ends_at).delete()

    admin.post(reverse("admin:scheduling_scheduleexception_delete", args=[leave.pk]), {"post": "yes"})

    assert ChangePlan.objects.get().added == 9


def test_break_outside_the_hours_is_explained(admin, clinic, practitioner, station):
    template = factories.ScheduleTemplateFactory.build(
        clinic=clinic, practitioner=practitioner, station=station
    )

    page = admin.post(reverse(ADD), form_of(template, **{"breaks-0-starts_at": "07:00"}))

    assert "lies outside the hours 09:00–12:00" in page.content.decode()
    assert not ScheduleTemplate.objects.exists()


def test_extra_hours_on_regular_hours_are_explained(admin, planned):
    template, _service = planned
    fields = {
        "kind": "extra_hours",
        "clinic": template.clinic_id,
        "practitioner": template.practitioner_id,
        "station": template.station_id,
        "slot_minutes": 20,
    }
    fields |= {f"starts_at_{n}": part for n, part in enumerate((tomorrow(template.clinic), "11:00"))}
    fields |= {f"ends_at_{n}": part for n, part in enumerate((tomorrow(template.clinic), "13:00"))}

    page = admin.post(reverse("admin:scheduling_scheduleexception_add"), fields)

    assert "overlap the regular hours of this practitioner" in page.content.decode()
