import pytest
from django.urls import reverse

from clinic_booking import events, jobs
from clinic_booking.models import Event, Notification
from tests import factories


@pytest.fixture
def admin(client, db):
    client.force_login(factories.UserFactory(is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def event(db):
    return events.publish("test", "test:1", {})


@pytest.mark.parametrize(
    "model",
    [
        "clinic_booking_user",
        "auth_group",
        "clinic_booking_event",
        "procrastinate_procrastinatejob",
    ],
)
def test_lists_open(admin, event, model):
    jobs.deliver.defer(event_id=event.pk, subscriber="none")
    assert admin.get(reverse(f"admin:{model}_changelist")).status_code == 200


def test_who_got_messages_is_for_nobody_who_configures(admin, client, event):
    Notification.objects.create(event=event, kind="booked")
    page = reverse("admin:clinic_booking_notification_changelist")
    assert admin.get(page).status_code == 403
    client.force_login(factories.UserFactory(is_staff=True, office="system_admin"))
    assert client.get(page).status_code == 403
    client.force_login(factories.clerk())
    assert client.get(page).status_code == 200


def test_event_can_be_seen_and_not_changed(admin, event):
    address = reverse("admin:clinic_booking_event_change", args=[event.pk])
    assert admin.get(address).status_code == 200
    assert admin.post(address, {"topic": "other"}).status_code == 403
    assert admin.post(reverse("admin:clinic_booking_event_delete", args=[event.pk])).status_code == 403
    assert admin.get(reverse("admin:clinic_booking_event_add")).status_code == 403
    assert Event.objects.get(pk=event.pk).topic == "test"


def test_user_pages_open(admin):
    user = factories.UserFactory()
    assert admin.get(reverse("admin:clinic_booking_user_change", args=[user.pk])).status_code == 200
    assert admin.get(reverse("admin:clinic_booking_user_add")).status_code == 200
    assert admin.get(reverse("admin:auth_user_password_change", args=[user.pk])).status_code == 200


def test_failed_job_is_retried_by_a_superuser(admin, transactional_db):
    from django.db import connection
    from procrastinate.contrib.django.models import ProcrastinateJob

    pk = jobs.deliver.defer(event_id=1, subscriber="none")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'failed' WHERE id = %s", [pk])
    address = reverse("admin:procrastinate_procrastinatejob_changelist")

    admin.post(address, {"action": "retry", "_selected_action": [pk]})

    assert ProcrastinateJob.objects.get(pk=pk).status == "todo"


def test_other_staff_cannot_retry(client, db):
    user = factories.UserFactory(is_staff=True)
    user.user_permissions.add(*_permissions("view_procrastinatejob"))
    client.force_login(user)
    assert (
        b'value="retry"' not in client.get(reverse("admin:procrastinate_procrastinatejob_changelist")).content
    )


def _permissions(codename):
    from django.contrib.auth.models import Permission

    return Permission.objects.filter(codename=codename)
