"""Both sides hear that a proxy began or ended. Nothing of a visit or of health is said."""

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from clinic_booking.accounts import emails
from clinic_booking.events import subscribe
from clinic_booking.messages import sending
from clinic_booking.messages.kinds import FACTS, KINDS, Channel, Kind, register
from clinic_booking.messages.sending import Message, Recipient
from clinic_booking.models import Event
from patients import messages
from patients.claims import masked_name
from patients.models import Patient, Proxy
from patients.proxies import acts

FACTS["other"] = _("who acts, or is acted for, without the family name")
register(
    Kind("proxy_granted", _("Somebody acts for a patient"), _("{other} can act for you"), ("other", "link")),
    Kind(
        "proxy_ended",
        _("Nobody acts for a patient any more"),
        _("{other} no longer acts for you"),
        ("other", "link"),
    ),
    Kind(
        "proxy_over",
        _("To who acted for a patient"),
        _("You no longer act for {other}"),
        ("other", "link"),
    ),
    Kind("proxy_of_age", _("A patient has grown up"), _("Your visits are yours now"), ("link",)),
)


@subscribe("proxy.granted")
def tell_of_start(event: Event) -> None:
    proxy = _proxy(event)
    if proxy and _has_own_address(proxy):
        _to_patient(event, "proxy_granted", proxy)


@subscribe("proxy.ended")
def tell_of_end(event: Event) -> None:
    proxy = _proxy(event)
    if proxy is None or proxy.end_reason == Proxy.End.RENEWED:
        return
    if _has_own_address(proxy):
        is_of_age = proxy.end_reason == Proxy.End.OF_AGE and proxy.patient.user_id is None
        _to_patient(event, "proxy_of_age" if is_of_age else "proxy_ended", proxy)
    _to_actor(event, proxy)


def _to_patient(event: Event, kind: str, proxy: Proxy) -> None:
    facts = {"other": masked_name(acts.called(proxy.user)), "link": _link()}
    allowed = {name: facts[name] for name in KINDS[kind].facts}
    messages.send(event=event, kind=kind, to=proxy.patient, order=(Channel.EMAIL,), facts=lambda: allowed)


def _to_actor(event: Event, proxy: Proxy) -> None:
    """Their login's address: they may have no record of their own."""
    address = emails.address_of(proxy.user)
    facts = {"other": masked_name(proxy.patient.name), "link": _link()}
    own = Patient.objects.filter(user=proxy.user).first()
    to = Recipient(
        patient_id=proxy.patient_id,
        name=acts.called(proxy.user),
        language=own.language if own else "en",
        addresses={Channel.EMAIL.value: address},
        channels=(Channel.EMAIL.value,) if address else (),
    )
    sending.send(Message(event=event, kind=KINDS["proxy_over"], to=to, facts=lambda: facts))


def _proxy(event: Event) -> Proxy | None:
    found = Proxy.objects.select_related("patient", "user").filter(pk=event.data["proxy"]).first()
    return found if found and found.patient.anonymised_at is None else None


def _has_own_address(proxy: Proxy) -> bool:
    """Letters to a small child come to the parent."""
    theirs = {each.lower() for each in (proxy.user.email, *emails.verified(proxy.user)) if each}
    return bool(proxy.patient.email) and proxy.patient.email.lower() not in theirs


def _link() -> str:
    return f"{settings.SITE_URL}{reverse('my_people')}"
