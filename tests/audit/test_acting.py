import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from django.test import RequestFactory

from clinic_booking import acting
from clinic_booking.models import User
from tests import factories

ACTING = "SELECT current_setting('clinic.acting', true)"


def told():
    with connection.cursor() as cursor:
        cursor.execute(ACTING)
        return cursor.fetchone()[0]


def as_request_of(user, act):
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.7")
    request.user = user
    return acting.middleware(lambda _request: act())(request)


@pytest.mark.django_db(transaction=True)
def test_begin_tells_who_acts_without_a_statement_more(django_assert_num_queries):
    user = factories.UserFactory()

    def act():
        with transaction.atomic():
            return told()

    with django_assert_num_queries(3):  # BEGIN, the question, COMMIT
        assert as_request_of(user, act) == f"{user.pk}|web||192.0.2.7"
    assert told() in ("", None) or "192.0.2.7" not in told()


@pytest.mark.django_db(transaction=True)
def test_a_write_without_a_transaction_tells_too():
    user = factories.UserFactory()

    def act():
        User.objects.filter(pk=user.pk).update(first_name="Another")
        return told()

    assert as_request_of(user, act).startswith(f"{user.pk}|web|")
    User.objects.filter(pk=user.pk).update(first_name="A third")
    assert told().startswith("|program:")


@pytest.mark.django_db
def test_within_a_transaction_the_next_actor_is_told():
    one, other = factories.UserFactory(), factories.UserFactory()

    def act(user):
        User.objects.filter(pk=user.pk).update(first_name="Another")
        return told().split("|")[0]

    assert [as_request_of(user, lambda u=user: act(u)) for user in (one, other, one)] == [
        str(one.pk),
        str(other.pk),
        str(one.pk),
    ]


@pytest.mark.django_db
def test_what_a_savepoint_forgot_is_told_again():
    user = factories.UserFactory()

    def act():
        with transaction.atomic():
            user.save()
            transaction.set_rollback(True)
        user.save()
        return told()

    assert as_request_of(user, act).startswith(f"{user.pk}|")


def test_nobody_has_no_number_and_no_quote_gets_through():
    request = RequestFactory().get("/", REMOTE_ADDR="' OR 1")
    request.user = AnonymousUser()
    assert str(acting.Acting(via="web", ip="' OR 1", request=request)) == "|web||OR1"
