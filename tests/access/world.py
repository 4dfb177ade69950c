"""A clinic with one row of everything, and whoever may come: what the table of access is tried on."""

import datetime as dt
import uuid
from http.cookies import SimpleCookie

from django.contrib.auth import SESSION_KEY
from django.db import transaction
from django.test import Client
from django.utils import timezone

from billing import bills
from billing.models import ContractLine, CreditNote, Payment
from clinic_booking.events import publish
from clinic_booking.models import Notification
from patients.models import BrokenGlass, Proxy
from patients.proxies import acts, letters
from scheduling import walk_ins
from scheduling.models import ChangePlan, DeskNote, WaitlistOffer
from tests import factories
from tests.proxies.given import given

# In the order of the columns of the table.
VISITORS = [
    "anonymous",
    "guest",  # no login; this browser was given the visit and holds a time
    "patient",
    "other",  # another patient
    "carer",  # acts for the patient, has no record of their own
    "former",  # acted for the patient, no longer
    "receptionist",
    "nurse",
    "doctor",
    "manager",
    "finance",
    "elsewhere",  # receptionist of another clinic
    "privacy",
    "admin",
]
SECRET = "held-by-the-guest"


# What is sent, where nothing at all would be found missing before it is asked who sends it.
SENT = {
    "visit_act": {"act": "arrive", "version": 1},
    "glass_review": {"justified": "yes"},
}


class World:
    def __init__(self, patient=None):
        self.clinic = factories.ClinicFactory(slug="here", late_cancel_percent=0)
        self.practitioner = factories.PractitionerFactory()
        self.station = factories.StationFactory(clinic=self.clinic)
        self.patient = patient or factories.PatientFactory(with_login=True)
        self.users = self._users()
        self.practitioner.user = self.users["doctor"]
        self.practitioner.save()
        self._visits()
        self._demand()
        self._supply()
        self._money()
        self.clients = {who: self._client(who) for who in VISITORS}

    def _users(self):
        roles = ["receptionist", "nurse", "doctor", "manager", "finance"]
        users = {role: factories.MembershipFactory(clinic=self.clinic, role=role).user for role in roles}
        users["elsewhere"] = factories.MembershipFactory(clinic__slug="there").user
        users["privacy"] = factories.UserFactory(office="privacy_officer")
        users["admin"] = factories.UserFactory(office="system_admin", is_staff=True)
        users["carer"] = given(self.patient, relation="caregiver").user
        ended = given(self.patient, relation="sibling")
        acts.end(proxy=ended, reason=Proxy.End.BY_PATIENT, by=self.patient.user)
        users["former"] = ended.user
        return users | {"patient": self.patient.user, "other": factories.PatientFactory(with_login=True).user}

    def _visits(self):
        self.service = factories.ServiceFactory(practitioners=[self.practitioner])
        at = factories.tomorrow_at(9)
        slots = factories.make_slots(self.practitioner, self.station, at, slots=6)
        self.slot = slots[5]
        self.booking = factories.book(slots[:1], patient=self.patient, service=self.service)
        self.hold = factories.hold(slots[1:2], service=self.service, owner=SECRET)
        self.note = DeskNote.objects.create(booking=self.booking, text="x", written_by=self.users["doctor"])
        data = {"booking": self.booking.pk, "reference": self.booking.reference, "version": 1}
        with transaction.atomic():
            event = publish(
                "appointment.booked", f"booking:{self.booking.pk}", data, clinic_id=self.clinic.pk
            )
        failed = Notification.Status.FAILED
        self.message = Notification.objects.create(event=event, kind="booked", status=failed, attempts=10)
        with transaction.atomic():
            self.walk_in = walk_ins.add_walk_in(
                clinic=self.clinic,
                patient=factories.PatientFactory(),
                service=self.service,
                by=self.users["receptionist"],
            )
        until = timezone.now() + dt.timedelta(hours=1)
        stranger = factories.PatientFactory()
        self.glass = BrokenGlass.objects.create(
            patient=stranger,
            user=self.users["receptionist"],
            clinic_id=self.clinic.pk,
            reason="Came in without a record",
            expires_at=until,
        )
        self.offered = slots[2:3]

    def _demand(self):
        here = {"clinics": [self.clinic]}
        self.entry = factories.wait(self.service, patient=self.patient, **here)
        held = factories.hold(self.offered, service=self.service, owner="kept-for-the-offer")
        self.offer = WaitlistOffer.objects.create(entry=self.entry, hold=held)
        request = factories.BookingRequestFactory(
            patient=self.patient, service=self.service, source="contract", contract="C-2026-0001"
        )
        factories.SessionTicketFactory(request=request, number=1, status="planned")
        self.request = request

    def _supply(self):
        self.hours = factories.ScheduleTemplateFactory(clinic=self.clinic)
        self.closure = factories.ScheduleExceptionFactory(clinic=self.clinic)
        self.extra = factories.ScheduleExceptionFactory(clinic=self.clinic, extra_hours=True)
        self.plan = ChangePlan.objects.create(
            clinic=self.clinic, kind="saved", payload={}, created_by=self.users["receptionist"]
        )

    def _money(self):
        self.bill = bills.keep_bill(self.booking.pk)
        self.credit = CreditNote.objects.first()
        self.payment = Payment.objects.first()
        contract = factories.ContractFactory(
            clinic=self.clinic, patient=self.patient, lines=[{"service": self.service}]
        )
        self.contract, self.line = contract, ContractLine.objects.get(contract=contract)

    # -- Who comes -------------------------------------------------------------------------------

    def _client(self, who):
        client = Client(raise_request_exception=True)
        self.log_in(client, who)
        return client

    def log_in(self, client, who):
        client.cookies = SimpleCookie()
        if who in self.users:
            client.force_login(self.users[who])
        elif who == "guest":
            session = client.session
            # Given after somebody's acting had ended (scheduling/links.py).
            ends = dict.fromkeys((self.booking.reference, str(self.entry.pk)), letters.ends(self.patient.pk))
            given_keys = {"bookings": [self.booking.reference], "waiting": [self.entry.pk]}
            session.update(given_keys | {"ends": ends, "owner": SECRET})
            session.save()
            client.cookies["session"] = session.session_key

    def is_still_in(self, client, who):
        return who == "anonymous" or (SESSION_KEY if who in self.users else "owner") in client.session

    # -- Where -----------------------------------------------------------------------------------

    def values(self, name, wanted):
        """For the parts of an address, by what they are called in it and by the address's name."""
        return {key: self._value(name, key) for key in wanted}

    def _value(self, name, key):
        own = {
            "waiting": self.entry,
            "leave_waitlist": self.entry,
            "desk_waiting": self.entry,
            "desk_steer": self.entry,
            "desk_unwait": self.entry,
            "desk_offer": self.entry,
            "offer": self.offer,
            "accept_offer": self.offer,
            "decline_offer": self.offer,
            "desk_withdraw": self.offer,
            "work_offer_withdrawal": self.offer,
            "supply_hours": self.hours,
            "supply_end_hours": self.hours,
            "supply_removal": self.closure,
            "desk_unextra": self.extra,
            "supply_plan": self.plan,
            "supply_application": self.plan,
            "supply_discard": self.plan,
            "work_note_done": self.note,
            "work_message_retry": self.message,
            "work_message_phone": self.message,
            "work_contact": self.patient,
            "work_contact_apart": self.patient,
            "work_contact_no_email": self.patient,
            "walk_in_act": self.walk_in,
            "visit_ticket": self.booking.visit,
            "work_money_back": self.bill,
            "bill": self.bill,
            "bill_pdf": self.bill,
            "glass_record": self.glass,
            "glass_review": self.glass,
        }
        is_contract = name.startswith(("contract", "my_contract"))
        plain = {
            "clinic": self.clinic.slug,
            "reference": self.contract.reference if is_contract else self.booking.reference,
            "hold_id": self.hold.pk,
            "bill_id": self.bill.pk,
            "line_id": self.line.pk,
            "request_id": self.request.pk,
            "patient": self.patient.uuid,
            "uuid": self.patient.uuid,
            "payment_id": uuid.UUID(int=1),
            "number": 1,
            "other": self.patient.pk,
            "act": "call",
            "what": "leave",
            "token": "no-such-token",
            "secret": "no-such-secret",
            "channel": "sms",
            "purpose": "reminders_email",
        }
        if key == "identifier" or (name == "desk_identity_number" and key == "pk"):
            return uuid.UUID(int=0)
        if key == "pk":
            return own[name].pk if name in own else 0
        return plain.get(key, 0)
