import pytest
from django.db import DatabaseError

from clinic_booking import audit
from clinic_booking.models import AuditEvent

pytestmark = pytest.mark.django_db


def test_what_was_recorded_cannot_be_changed(receptionist):
    audit.record(audit.Action.VIEW, "patient:17", by=receptionist, patient_id=17, fields=["contact"])
    with pytest.raises(DatabaseError, match="append-only"):
        AuditEvent.objects.update(reason="another")
