"""Whom a login sees as a proxy: the one it acts for, as long as it does, and nobody else."""

import pytest
from django.urls import reverse

from patients import claims
from patients.models import Patient, Proxy
from patients.proxies import acts
from scheduling.models import Booking
from tests.factories import BookingFactory, PatientFactory, UserFactory
from tests.proxies.given import backdate, child, given
from tests.test_row_security import everybody_as

pytestmark = pytest.mark.django_db


@pytest.fixture
def family():
    """A mother who acts for Mia; Ben has another one."""
    mother = PatientFactory(name="Mother", with_login=True)
    mia, ben = child(name="Mia"), child(name="Ben")
    given(ben)
    return mother.user, given(mia, mother.user), BookingFactory(patient=mia), BookingFactory(patient=ben)


def test_a_proxy_sees_their_own_people_and_row_security_agrees(family):
    user, _proxy, mias, _bens = family
    assert {p.name for p in Patient.objects.belonging_to(user)} == {"Mother", "Mia"}
    assert list(Booking.objects.visible_to(user)) == [mias]
    assert sorted(everybody_as(user)) == ["Mia", "Mother"]


@pytest.mark.parametrize("is_ended", [True, False])
def test_what_is_over_opens_nothing_from_the_next_request_on(client, family, is_ended):
    user, proxy, mias, bens = family
    client.force_login(user)
    pages = [reverse(name, args=[mias.reference]) for name in ("booking", "booking_ics", "cancellation")]
    for page in pages:
        assert client.get(page).status_code == 200
        assert client.get(page.replace(mias.reference, bens.reference)).status_code == 404
    if is_ended:
        acts.end(proxy=proxy, reason=Proxy.End.BY_DESK, by=UserFactory())
    else:
        backdate(proxy)
    assert {client.get(page).status_code for page in pages} == {404}
    assert mias.reference not in client.get(reverse("me")).content.decode()
    assert everybody_as(user) == ["Mother"]


def test_a_child_is_not_claimed_as_the_own_record(family):
    user, proxy, *_rest = family
    acts.end(proxy=proxy, reason=Proxy.End.BY_PROXY, by=user)
    Patient.objects.filter(user=user).update(user=None)
    with pytest.raises(claims.RecordIsTaken):
        claims.claim(patient=proxy.patient, user=user, proof="email")
