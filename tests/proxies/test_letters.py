"""A letter about a child goes to the parent: what it links to is theirs as long as they act."""

from urllib.parse import urlsplit

import pytest
from django.test import Client

from billing import bills, paylinks
from patients.models import Patient, Proxy
from patients.proxies import acts
from scheduling import links
from scheduling.booking import database_now
from scheduling.models import WaitlistEntry
from tests.factories import BookingFactory, PatientFactory, UserFactory, WaitlistEntryFactory
from tests.proxies.given import backdate, child, given

pytestmark = pytest.mark.django_db


@pytest.fixture
def mother():
    return UserFactory(email="mother@example.com")


@pytest.fixture
def mia(mother):
    return child(name="Mia", email="mother@example.com")


def letters_about(patient):
    """The links of everything that is written about a visit, a waiting and a bill."""
    visit = patient.bookings.first() or BookingFactory(patient=patient)
    bill = bills.keep_bill(visit.pk)
    entry = WaitlistEntry.objects.first() or WaitlistEntryFactory(session__request__patient=patient)
    urls = [links.booking_url(visit), links.answer_url(visit), links.entry_url(entry)]
    paid = paylinks.link(bill, database_now() + paylinks.VALID)
    return [urlsplit(url)._replace(scheme="", netloc="").geturl() for url in (*urls, paid)]


def statuses(client, urls):
    return [client.get(url, follow=True).status_code for url in urls]


@pytest.mark.parametrize("is_ended", [True, False])
def test_links_and_browsers_that_had_them_open_nothing_after_the_end(client, mia, mother, is_ended):
    proxy = given(mia, mother)
    urls = letters_about(mia)
    assert statuses(client, urls) == [200, 200, 200, 200]
    seen = [url.partition("?")[0] for url in urls[:3]]
    assert statuses(client, seen) == [200, 200, 200]
    if is_ended:
        acts.end(proxy=proxy, reason=Proxy.End.BY_DESK, by=UserFactory())
    else:
        backdate(proxy)
    assert statuses(client, seen) == [404, 404, 404]
    assert statuses(client, urls) == [410, 410, 404, 404]
    assert "has changed since it was sent" in client.get(urls[0]).content.decode()


def test_new_letters_open_once_they_go_elsewhere(client, mia, mother):
    acts.end(proxy=given(mia, mother), reason=Proxy.End.BY_DESK, by=UserFactory())
    assert statuses(client, letters_about(mia)) == [410, 410, 404, 404]
    Patient.objects.filter(pk=mia.pk).update(email="mia@example.com")
    mia = Patient.objects.get(pk=mia.pk)
    assert statuses(Client(), letters_about(mia)) == [200, 200, 200, 200]


def test_while_somebody_acts_and_for_who_has_the_login_letters_open(client, mother):
    husband = PatientFactory(email="home@example.com", with_login=True)
    wife = UserFactory(email="home@example.com")
    acts.end(proxy=given(husband, wife, "spouse"), reason=Proxy.End.BY_PROXY, by=wife)
    given(husband, wife, "spouse")
    assert statuses(client, letters_about(husband)) == [200, 200, 200, 200]
