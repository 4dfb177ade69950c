"""What each role may do, and where."""

import pytest

from clinic_booking.models import User
from clinic_booking.roles import OFFICES, ROLES, Can, may, where
from scheduling.models import Clinic, Membership
from tests import factories

pytestmark = pytest.mark.django_db


def test_every_role_and_office_has_its_row():
    assert set(ROLES) == set(Membership.Role.values)
    assert set(OFFICES) == set(User.Office.values)


def test_everything_may_be_done_by_somebody():
    assert set(Can) == set().union(*ROLES.values(), *OFFICES.values())


@pytest.mark.parametrize(
    ("role", "what", "allowed"),
    [
        ("receptionist", Can.ACT_AT_DESK, True),
        ("receptionist", Can.SEE_DOCTOR_NOTES, False),
        ("nurse", Can.RUN_QUEUE, True),
        ("nurse", Can.SEE_MONEY, False),
        ("doctor", Can.ACT_AT_DESK, False),
        ("manager", Can.UNMASK, True),
        ("finance", Can.SEE_BOOKS, True),
        ("finance", Can.SEE_REASONS, False),
        ("finance", Can.SEE_DESK, False),
    ],
)
def test_role_holds_at_its_clinic_alone(role, what, allowed):
    member = factories.MembershipFactory(role=role)
    elsewhere = factories.ClinicFactory()
    assert may(member.user, what, member.clinic) is allowed
    assert may(member.user, what) is allowed
    assert not may(member.user, what, elsewhere.pk)
    assert list(Clinic.objects.filter(pk__in=where(member.user, what))) == [member.clinic] * allowed


def test_superuser_may_nothing_at_a_clinic():
    user, clinic = factories.UserFactory(is_admin=True), factories.ClinicFactory()
    assert not any(may(user, what, clinic) for what in Can)
    assert not where(user, Can.SEE_DESK)


def test_system_admin_sees_no_clinic_even_as_a_member():
    member = factories.MembershipFactory(role="manager", user__office=User.Office.SYSTEM_ADMIN)
    assert may(member.user, Can.CONFIGURE)
    assert not may(member.user, Can.SEE_PATIENTS, member.clinic)
    assert not where(member.user, Can.SEE_PATIENTS)


def test_who_left_may_nothing():
    member = factories.MembershipFactory(role="manager", user__is_active=False)
    assert not may(member.user, Can.SEE_DESK, member.clinic)
    assert not where(member.user, Can.SEE_DESK)


def test_roles_are_asked_for_once(django_assert_num_queries):
    user = User.objects.get(pk=factories.MembershipFactory(role="nurse").user_id)
    with django_assert_num_queries(1):
        assert may(user, Can.RUN_QUEUE)
        assert not may(user, Can.ACT_AT_DESK)
