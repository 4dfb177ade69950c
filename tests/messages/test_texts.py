"""Texts of the staff: what they may name, and that a broken one loses no message."""

import pytest
from django.core import mail
from django.urls import reverse

from clinic_booking.admin import MessageTemplateForm
from clinic_booking.events import publish
from clinic_booking.messages.kinds import KINDS
from clinic_booking.messages.texts import MissingFact, compose, fill, unknown_places
from clinic_booking.models import MessageTemplate, Notification
from patients import messages
from tests import factories

pytestmark = pytest.mark.django_db
FACTS = {"link": "https://clinic.example/w/", "name": "Siti", "brand": "Harbour", "dpo_email": "d@x.example"}


def own(**fields):
    values = {"kind": "waiting", "channel": "email", "subject": "Hello {name}", "body": "See {link}"}
    return MessageTemplate.objects.create(**values | fields)


def waiting(channel="email", language="en"):
    return compose(kind=KINDS["waiting"], channel=channel, language=language, facts=FACTS)


def form(**fields):
    values = {"kind": "waiting", "channel": "email", "language": "en", "subject": "Hi", "body": "{link}"}
    return MessageTemplateForm(values | fields)


def test_text_of_the_staff_comes_first():
    own()
    text = waiting()
    assert (text.subject, text.body) == ("Hello Siti", "See https://clinic.example/w/")
    assert 'href="https://clinic.example/w/"' in text.html


def test_text_of_another_language_or_channel_is_another():
    own(language="zh", subject="你好 {name}")
    own(channel="sms", body="Look: {link}")
    assert waiting().subject == "You are on the waitlist"
    assert waiting(language="zh").subject == "你好 Siti"
    assert waiting("sms").body == "Look: https://clinic.example/w/"
    assert waiting("whatsapp").body.startswith("Harbour: you are on the waitlist")


def test_broken_text_is_flagged_and_the_shipped_one_sent(patient):
    text = own(body="Your doctor is {doctor}")
    event = publish("test", "test:1", {})
    messages.send(event=event, kind="waiting", to=patient, facts=lambda: {"link": FACTS["link"]})
    [message] = mail.outbox
    assert message.subject == "You are on the waitlist"
    assert Notification.objects.get().status == "sent"
    text.refresh_from_db()
    assert text.problem == "{doctor}"
    assert text.problem_at


@pytest.mark.parametrize(
    "body", ["{doctor}", "{link", "link}", "{}", "{link.attr}", "{0}", "{{link}}", "{link!r}"]
)
def test_what_cannot_be_filled_in_is_refused(body):
    filled = form(body=body)
    assert not filled.is_valid()
    [sentence] = filled.errors["body"]
    assert "They may name: {link}, {name}, {brand}, {dpo_email}." in sentence
    with pytest.raises(MissingFact):
        fill(body, FACTS)


def test_nothing_is_understood_but_names():
    assert fill("{name} {% now %} {{ }}".replace("{% now %} {{ }}", "100 %(link)s $link"), FACTS) == (
        "Siti 100 %(link)s $link"
    )
    assert unknown_places("{name}: {link}", ("name", "link")) == []


def test_fact_is_not_filled_in_again():
    assert fill("{name}", {"name": "{link}", "link": "secret"}) == "{link}"


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"subject": ""}, "subject"),
        ({"channel": "sms", "body": "x" * 481}, "body"),
        ({"kind": "none"}, "kind"),
    ],
)
def test_text_that_does_not_suit_its_channel_is_refused(fields, wrong):
    assert list(form(**fields).errors) == [wrong]


def test_line_break_in_a_name_begins_no_header():
    own()
    text = compose(
        kind=KINDS["waiting"],
        channel="email",
        language="en",
        facts=FACTS | {"name": "A\nBcc: all@example.com"},
    )
    assert text.subject == "Hello A Bcc: all@example.com"


def test_name_is_escaped_in_html():
    own(body="Dear {name}")
    text = compose(
        kind=KINDS["waiting"], channel="email", language="en", facts=FACTS | {"name": "<script>x</script>"}
    )
    assert "<script>" not in text.html


def test_saving_in_the_admin_clears_the_flag(client):
    client.force_login(factories.UserFactory(is_admin=True))
    text = own(body="{doctor}", problem="{doctor}")
    page = reverse("admin:clinic_booking_messagetemplate_change", args=[text.pk])
    values = {"kind": "waiting", "channel": "email", "language": "en", "subject": "Hi"}
    refused = client.post(page, values | {"body": "{doctor}"})
    assert "There is no {doctor} in messages of this kind" in refused.content.decode()
    assert client.post(page, values | {"body": "{link}"}).status_code == 302
    text.refresh_from_db()
    assert (text.body, text.problem) == ("{link}", "")
    assert client.get(reverse("admin:clinic_booking_messagetemplate_add")).status_code == 200
