import pytest

from clinic_booking.models import User
from tests import factories


@pytest.fixture(autouse=True)
def backups(settings, tmp_path):
    """The list of deletions of the test alone."""
    settings.BACKUP_DIR = str(tmp_path / "backups")
    settings.BACKUP_COPY_DIR = str(tmp_path / "elsewhere")
    return tmp_path / "backups"


@pytest.fixture
def officer(db):
    return factories.UserFactory(office=User.Office.PRIVACY_OFFICER)


@pytest.fixture
def second(db):
    return factories.UserFactory(office=User.Office.SYSTEM_ADMIN)
