"""The whole way against an independent FAPI 2.0 server."""

import pytest

from patients.models import SingpassIdentity
from tests.singpass.counterpart import LOCAL

pytestmark = pytest.mark.django_db


def test_first_login_makes_a_login_without_a_password(browser_there):
    answer = browser_there.log_in()

    assert answer.url == "/me/details/?next="
    identity = SingpassIdentity.objects.get()
    assert identity.sub == LOCAL
    assert not identity.user.has_usable_password()
    assert browser_there.user == identity.user_id
