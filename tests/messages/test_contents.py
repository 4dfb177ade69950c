"""Every kind by every channel in every language: it can be filled in, and nothing in it says why somebody comes."""

from types import SimpleNamespace

import pytest
from django.conf import settings
from django.core import mail
from django.utils import translation
from django.utils.html import escape

from billing import bills
from billing import message_kinds as money_kinds
from billing.models import Payment
from clinic_booking.events import publish
from clinic_booking.messages.kinds import ALWAYS, FACTS, KINDS, Channel
from clinic_booking.messages.texts import compose
from patients import messages
from scheduling import notifications, reminders, waitlist_mail
from scheduling.models import Station
from tests import factories

pytestmark = pytest.mark.django_db
LANGUAGES = [code for code, _name in settings.MESSAGE_LANGUAGES]
KNOWN = sorted(KINDS)
# In the visit's service, practitioner, room, patient and note.
SECRET = "Zebrafish"
ID = "567A"


@pytest.fixture
def visit(clinic):
    practitioner = factories.PractitionerFactory(name=f"Dr {SECRET}", specialty=f"{SECRET} medicine")
    service = factories.ServiceFactory(
        name=f"{SECRET} removal", slug=SECRET.lower(), category=SECRET, practitioners=[practitioner]
    )
    patient = factories.PatientFactory(masked_id=ID, birth_date="1971-02-03")
    room = Station.objects.create(clinic=clinic, name=f"{SECRET} room", kind="consult")
    slots = factories.make_slots(practitioner, room, factories.tomorrow_at(9))
    return factories.book(slots[:1], service=service, patient=patient, note=f"about the {SECRET}")


def facts_of(kind, visit):
    """As the senders make them."""
    clinic = visit.clinic
    hold = factories.HoldFactory.build(clinic=clinic, service=visit.service, practitioner=visit.practitioner)
    proposal = SimpleNamespace(from_starts_at=visit.starts_at, plan=SimpleNamespace(clinic=clinic))
    waiting = SimpleNamespace(session=visit.session)
    made = {
        **notifications.FACTS,
        "planned": lambda visit: notifications._several_planned([visit, visit]),
        "needs_new_time": notifications._to_choose,
        "reminder": lambda visit: reminders._facts([visit]),
        "replanned": lambda visit: notifications._new_time(visit, proposal),
        "offer": lambda _: waitlist_mail._offered(SimpleNamespace(pk=1, hold=hold, entry=waiting)),
        "not_booked": lambda _: money_kinds.not_booked(
            Payment(hold=hold, amount_cents=6500), is_refunded=True
        ),
        "pay_link": lambda visit: money_kinds.pay_link(bills.keep_bill(visit.pk), visit.ends_at),
    }
    facts = made[kind](visit) if kind in made else {name: f"({name})" for name in KINDS[kind].facts}
    return {**facts, **{name: f"({name})" for name in ALWAYS}}


@pytest.mark.parametrize("kind", KNOWN)
def test_every_text_can_be_filled_in_and_says_nothing_of_health(kind, visit):
    for language in LANGUAGES:
        with translation.override(settings.MESSAGE_LOCALES[language]):
            facts = facts_of(kind, visit)
            texts = {
                channel: compose(kind=KINDS[kind], channel=channel, language=language, facts=facts)
                for channel in Channel
            }
        assert set(facts) >= set(KINDS[kind].facts)
        for channel, text in texts.items():
            assert text.body.strip()
            whole = " ".join(text)
            assert "{" not in whole
            assert SECRET.lower() not in whole.lower()
            assert ID not in whole
            assert "1971" not in whole
            assert bool(text.subject and text.html) == (channel == Channel.EMAIL)
            if channel == Channel.EMAIL:  # PDPA s 11: whom to ask
                assert facts["dpo_email"] in text.body
                assert facts["dpo_email"] in text.html
            for name in ("link", "stop_link"):
                if channel == Channel.EMAIL and str(facts.get(name, "")).startswith("http"):
                    assert f'href="{escape(facts[name])}"' in text.html
            if isinstance(facts.get("link"), str):
                assert facts["link"].split("?")[0] in text.body


@pytest.mark.parametrize("kind", KNOWN)
def test_facts_have_a_description_and_name_no_reason(kind):
    facts = KINDS[kind].allowed
    assert [name for name in facts if not FACTS.get(name)] == []
    assert not set(facts) & {
        "service",
        "practitioner",
        "doctor",
        "station",
        "room",
        "note",
        "nric",
        "masked_id",
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_letter_in_the_patients_language(language, visit):
    type(visit.patient).objects.filter(pk=visit.patient_id).update(language=language)
    visit.patient.refresh_from_db()
    data = {"booking": visit.pk, "reference": visit.reference, "version": 1}
    event = publish("appointment.booked", f"booking:{visit.pk}", data, clinic_id=visit.clinic_id)
    notifications.mail_about_visit(event)
    [letter] = mail.outbox
    subject = {"en": "is booked", "zh": "您的预约已确认", "ms": "telah ditempah", "ta": "பதிவு செய்யப்பட்டது"}
    assert subject[language] in letter.subject
    html = letter.alternatives[0].content
    assert visit.reference in html
    assert "&amp;lt;" not in html
    raw = letter.message().as_string()
    assert SECRET not in raw
    assert messages.recipient(visit.patient, KINDS["booked"]).language == language
