"""Whose rows a login gets from `visible_to`: at the own clinic, its own as a patient, and nobody else's."""

import pytest
from django.contrib.auth.models import AnonymousUser

from billing.models import Bill, Contract
from clinic_booking.models import User
from patients.models import Patient
from scheduling.models import Booking, BookingRequest, Hold, SessionTicket, VisitTicket, WaitlistEntry
from tests import factories

pytestmark = pytest.mark.django_db
LOCATED = [Patient, Booking, VisitTicket, SessionTicket, BookingRequest]
DESK = ["receptionist", "nurse", "doctor", "manager"]


@pytest.fixture
def visit(slots, service, patient):
    return factories.book(slots[:1], patient=patient, service=service)


def staff(clinic, role):
    return factories.MembershipFactory(clinic=clinic, role=role).user


@pytest.mark.parametrize("role", DESK)
def test_staff_see_patients_and_visits_of_their_clinic(visit, clinic, role):
    user = staff(clinic, role)
    assert all(model.objects.visible_to(user).exists() for model in LOCATED)


@pytest.mark.parametrize("role", DESK)
def test_staff_of_another_clinic_see_nobody(visit, clinic, role):
    user = staff(factories.ClinicFactory(), role)
    request = visit.session.request
    pattern = factories.BookingPatternFactory(request=request, is_hard=True)
    pattern.clinics.set([clinic])
    assert not any(model.objects.visible_to(user).exists() for model in LOCATED)


def test_finance_sees_bills_and_no_visit(visit, clinic):
    user = staff(clinic, "finance")
    assert not any(model.objects.visible_to(user).exists() for model in LOCATED)


def test_patients_see_their_own(visit, patient, other_patient):
    assert all(model.objects.visible_to(patient.user).exists() for model in LOCATED)
    assert list(Patient.objects.visible_to(other_patient.user)) == [other_patient]
    assert not any(model.objects.visible_to(other_patient.user).exists() for model in LOCATED[1:])
    assert list(Booking.objects.belonging_to(patient.user)) == [visit]


@pytest.mark.parametrize("office", ["", *User.Office.values])
def test_offices_and_superusers_see_no_visit(visit, office):
    user = factories.UserFactory(office=office, is_superuser=True)
    models = [*LOCATED[1:], Hold, WaitlistEntry, Bill, Contract]
    assert not any(model.objects.visible_to(user).exists() for model in models)
    assert Patient.objects.visible_to(user).exists() == (office == User.Office.PRIVACY_OFFICER)


def test_strangers_see_what_their_browser_was_given(visit):
    nobody = AnonymousUser()
    assert not any(model.objects.visible_to(nobody).exists() for model in LOCATED)
    assert Booking.objects.visible_to(nobody, references=[visit.reference]).get() == visit


def test_wish_that_names_no_clinic_is_everybodys(clinic):
    wish = factories.BookingRequestFactory()
    assert BookingRequest.objects.visible_to(staff(clinic, "receptionist")).get() == wish
