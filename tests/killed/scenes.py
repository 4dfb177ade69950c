"""For every topic with a subscriber a scene in which its handlers have something to do.

A scene gets a clinic of its own with six free times tomorrow and publishes its event. To add one: write a function with
`@scene("the.topic")` that brings about what the handlers look for and calls `publish`.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from billing import bills, contracts, counter, ledger, paylinks, receipts
from billing.models import CreditNote, DeskRefund, Dispute, Payment
from clinic_booking import events
from clinic_booking.models import User
from clinic_booking.retention.models import Incident
from patients.models import Proxy
from patients.proxies import acts
from scheduling.models import (
    Booking,
    BookingRequest,
    ChangePlan,
    ChangeProposal,
    Clinic,
    Practitioner,
    Reminder,
    ReminderRule,
    Service,
    Slot,
    Station,
    WaitlistEntry,
)
from tests import factories
from tests.factories import wait

SCENES: dict[str, Callable[["Place"], None]] = {}


def scene(topic: str):
    def add(play):
        SCENES[topic] = play
        return play

    return add


@dataclass
class Place:
    clinic: Clinic
    practitioner: Practitioner
    station: Station
    service: Service
    slots: list[Slot]
    by: User

    @classmethod
    def make(cls):
        clinic = factories.ClinicFactory(pay_at_clinic=True)
        practitioner = factories.PractitionerFactory()
        station = factories.StationFactory(clinic=clinic)
        service = factories.ServiceFactory(practitioners=[practitioner])
        slots = factories.make_slots(practitioner, station, factories.tomorrow_at(9))
        by = factories.MembershipFactory(clinic=clinic).user
        return cls(clinic, practitioner, station, service, slots, by)

    def book(self, n=0, **values) -> Booking:
        return factories.book(self.slots[n : n + 1], service=self.service, **values)

    def ended(self, status, n=0) -> Booking:
        """Its time is free again."""
        values = {"cancelled_at": timezone.now(), "cancel_reason": "patient"} if status == "cancelled" else {}
        booking = self.book(n, status=status, **values)
        Slot.objects.filter(pk=self.slots[n].pk).update(booking=None)
        return booking

    def block(self, *but) -> None:
        """So that only these times can be offered."""
        Slot.objects.filter(clinic=self.clinic, booking=None).exclude(
            pk__in=[self.slots[n].pk for n in but]
        ).update(is_blocked=True)

    def sessions_of_contract(self, n) -> list[Booking]:
        """The bookings of a confirmed contract of n sessions."""
        contract = factories.ContractFactory(clinic=self.clinic)
        factories.ContractLineFactory(contract=contract, service=self.service, quantity=n)
        contracts.confirm_contract(reference=contract.reference, by=self.by)
        return list(Booking.objects.filter(session__request__contract=contract.reference).order_by("pk"))

    def payment(self, booking=None, **values) -> Payment:
        patient = booking.patient if booking else factories.PatientFactory()
        hold = factories.HoldFactory(
            **factories._place(self.slots[:1]), service=self.service, patient=patient, run_out=True
        )
        if booking:
            Booking.objects.filter(pk=booking.pk).update(hold=hold)
        return Payment.objects.create(
            hold=hold,
            booking=booking,
            patient=patient,
            amount_cents=self.service.price_cents,
            currency="sgd",
            idempotency_key=uuid.uuid4().hex,
            **values,
        )


def publish(topic, subject, data, clinic=None):
    with transaction.atomic():
        return events.publish(topic, subject, data, clinic_id=clinic and clinic.pk)


def tell(topic, booking, **more):
    data = {"booking": booking.pk, "reference": booking.reference, "version": booking.version} | more
    publish(topic, f"booking:{booking.pk}", data, booking.clinic)


# -- Visits --------------------------------------------------------------------------------------


@scene("appointment.booked")
def booked(place):
    booking = place.book()
    WaitlistEntry.objects.create(session=booking.session)
    tell("appointment.booked", booking)


@scene("appointment.moved")
def moved(place):
    booking = place.book(3)
    wait(place.service)
    place.block(0)
    proposal_of(place, booking, starts_at=place.slots[0].starts_at)
    tell(
        "appointment.moved",
        booking,
        **{
            "from": place.slots[0].starts_at.isoformat(),
            "from_practitioner": place.practitioner.pk,
            "from_station": place.station.pk,
            "from_clinic": place.clinic.pk,
        },
    )


@scene("appointment.cancelled")
def cancelled(place):
    booking = place.book()
    bills.keep_bill(booking.pk)
    Slot.objects.filter(booking=booking).update(booking=None)
    Booking.objects.filter(pk=booking.pk).update(
        status="cancelled", cancelled_at=timezone.now(), cancel_reason="clinic"
    )
    wait(place.service)
    place.block(0)
    tell("appointment.cancelled", booking, reason="clinic", by=place.by.pk)


@scene("appointment.noshow")
def noshow(place):
    booking = place.ended("noshow")
    Booking.objects.filter(pk=booking.pk).update(
        fee_cents=0
    )  # waived: its bill does not wait for the day's end
    wait(place.service)
    place.block(0)
    tell("appointment.noshow", booking, by=place.by.pk)


@scene("appointment.fulfilled")
def fulfilled(place):
    [booking] = place.sessions_of_contract(1)
    Booking.objects.filter(pk=booking.pk).update(status="fulfilled")
    booking.session.status = "completed"
    booking.session.save()
    tell("appointment.fulfilled", booking, by=place.by.pk)


@scene("appointment.reverted")
def reverted(place):
    [booking] = place.sessions_of_contract(1)
    contracts.Contract.objects.filter(reference=booking.session.request.contract).update(
        status="completed", completed_at=timezone.now()
    )
    tell("appointment.reverted", booking, by=place.by.pk, was="fulfilled")


def proposal_of(place, booking, starts_at=None):
    plan = ChangePlan.objects.create(
        clinic=place.clinic,
        kind="leave",
        payload={},
        status="applied",
        created_by=place.by,
        ended_by=place.by,
        ended_at=timezone.now(),
    )
    return ChangeProposal.objects.create(
        plan=plan,
        booking=booking,
        booking_version=1,
        from_starts_at=starts_at or booking.starts_at,
        from_practitioner=place.practitioner,
        decision="open",
    )


@scene("change.open")
def change_open(place):
    booking = place.book()
    proposal = proposal_of(place, booking)
    publish(
        "change.open",
        f"booking:{booking.pk}",
        {"booking": booking.pk, "proposal": proposal.pk},
        place.clinic,
    )


@scene("reminder.due")
def reminder_due(place):
    booking = place.book()
    rule = ReminderRule.objects.create(clinic=place.clinic, minutes_before=3 * 24 * 60, channels=["email"])
    data = {"visit": booking.visit_id, "booking": booking.pk, "rule": rule.pk}
    event = publish("reminder.due", f"visit:{booking.visit_id}", data, place.clinic)
    Reminder.objects.create(booking=booking, rule=rule, starts_at=booking.starts_at, event=event)


# -- Demand and supply ---------------------------------------------------------------------------


@scene("hold.expired")
def hold_expired(place):
    hold = factories.hold(place.slots[:1], service=place.service, run_out=True)
    Slot.objects.filter(hold=hold).update(hold=None, held_until=None)
    hold.ended_at, hold.end_reason = timezone.now(), "expired"
    hold.save()
    wait(place.service)
    place.block(0)
    publish("hold.expired", f"hold:{hold.pk}", {"hold": str(hold.pk)}, place.clinic)


@scene("request.matched")
def request_matched(place):
    booking = place.book()
    request = booking.session.request_id
    data = {"request": request, "sessions": [booking.session_id], "bookings": [booking.pk], "count": 1}
    publish("request.matched", f"request:{request}", data, place.clinic)


@scene("request.unmatched")
def request_unmatched(place):
    session = factories.SessionTicketFactory(
        request__service=place.service, request__source="contract", number=1, status="planned"
    )
    data = {"request": session.request_id, "sessions": [session.pk], "count": 1}
    publish("request.unmatched", f"request:{session.request_id}", data)


@scene("request.closed")
def request_closed(place):
    entry = wait(place.service)
    request = entry.session.request
    request.sessions.update(status="cancelled")
    BookingRequest.objects.filter(pk=request.pk).update(closed_at=timezone.now())
    publish("request.closed", f"request:{request.pk}", {"request": request.pk, "contract": "", "by": None})


@scene("slots.changed")
def slots_changed(place):
    wait(place.service)
    place.block(0)
    data = {"slots": [place.slots[0].pk], "status": "available", "by": place.by.pk}
    publish("slots.changed", f"clinic:{place.clinic.pk}", data, place.clinic)


@scene("supply.added")
def supply_added(place):
    wait(place.service)
    place.block(0)
    factories.SessionTicketFactory(
        request__service=place.service, request__source="contract", number=1, status="planned"
    )
    data = {"first": str(place.clinic.local_date(place.slots[0].starts_at)), "days": 1, "added": 1}
    publish("supply.added", f"clinic:{place.clinic.pk}", data, place.clinic)


@scene("waitlist.joined")
def waitlist_joined(place):
    entry = wait(place.service)
    publish("waitlist.joined", f"waitlist:{entry.pk}", {"entry": entry.pk, "by": None})


def offered(place, **values):
    entry = wait(place.service)
    hold = factories.hold(
        place.slots[:1],
        service=place.service,
        kind="offer",
        session=entry.session,
        patient=entry.session.request.patient,
    )
    return entry, entry.offers.create(hold=hold, **values)


@scene("waitlist.offered")
def waitlist_offered(place):
    entry, offer = offered(place)
    WaitlistEntry.objects.filter(pk=entry.pk).update(status="offered")
    data = {"entry": entry.pk, "offer": offer.pk, "by": None}
    publish("waitlist.offered", f"waitlist:{entry.pk}", data, place.clinic)


@scene("waitlist.offer_ended")
def waitlist_offer_ended(place):
    entry, offer = offered(place, outcome="declined", ended_at=timezone.now())
    Slot.objects.filter(hold=offer.hold).update(hold=None, held_until=None)
    offer.hold.ended_at, offer.hold.end_reason = timezone.now(), "declined"
    offer.hold.save()
    wait(place.service)
    place.block(0)
    data = {"entry": entry.pk, "offer": offer.pk, "by": None}
    publish("waitlist.offer_ended", f"waitlist:{entry.pk}", data, place.clinic)


# -- Money ---------------------------------------------------------------------------------------


@scene("contract.confirmed")
def contract_confirmed(place):
    contract = factories.ContractFactory(clinic=place.clinic)
    factories.ContractLineFactory(contract=contract, service=place.service, quantity=2)
    contracts.confirm_contract(reference=contract.reference, by=place.by, plan=False)


@scene("contract.cancelled")
def contract_cancelled(place):
    """As if the process had died before it settled what the contract costs."""
    [booking] = place.sessions_of_contract(1)
    contracts._cancel(booking.session.request.contract, place.by, "moved away", {booking.pk: False})


def cancel(booking):
    over = {"status": "cancelled", "cancelled_at": timezone.now(), "cancel_reason": "clinic"}
    Booking.objects.filter(pk=booking.pk).update(**over)


@scene("counter.paid")
def counter_paid(place):
    counter_event(place, "counter.paid")


@scene("counter.returned")
def counter_returned(place):
    counter_event(place, "counter.returned")


@scene("fee.waived")
def fee_waived(place):
    counter_event(place, "fee.waived", credit_note=1)


def counter_event(place, topic, **more):
    """The money is on record, the bill was not kept after it: that is what the handler is for."""
    booking = place.book()
    bill = bills.keep_bill(booking.pk)
    cancel(booking)
    data = {"booking": booking.pk, "bill": bill.pk, "amount_cents": bill.total_cents, "by": place.by.pk}
    publish(topic, f"bill:{bill.pk}", data | (more or {"method": "cash"}), place.clinic)


@scene("bill.refunded")
def bill_refunded(place):
    booking = place.book()
    bill = bills.keep_bill(booking.pk)
    cancel(booking)
    made = DeskRefund.objects.create(
        bill=bill, amount_cents=500, counter_cents=500, reason="mistake", given_by=place.by
    )
    data = {"refund": made.pk, "bill": bill.pk, "booking": booking.pk, "amount_cents": 500, "online_cents": 0}
    publish("bill.refunded", f"bill:{bill.pk}", data | {"reason": "mistake", "by": place.by.pk}, place.clinic)


@scene("payment.disputed")
def payment_disputed(place):
    """Lost, and the visit was called off: the bank has given back what the bill owes."""
    booking = place.book()
    cents = place.service.price_cents
    payment = place.payment(booking, status="paid", captured_cents=cents, is_disputed=True)
    dispute = Dispute.objects.create(
        pk=f"du_{payment.pk.hex}",
        payment=payment,
        amount_cents=cents,
        status="lost",
        closed_at=timezone.now(),
    )
    with transaction.atomic():
        ledger.post_all([ledger.captured(payment), ledger.lost(payment, dispute)])
    bills.keep_bill(booking.pk)
    cancel(booking)
    data = {"dispute": dispute.pk, "payment": str(payment.pk), "bill": None, "amount_cents": cents}
    publish("payment.disputed", f"payment:{payment.pk}", data | {"status": "lost"}, place.clinic)


@scene("bill.issued")
def bill_issued(place):
    """Of a contract: those of visits are not e-mailed."""
    contract_confirmed(place)


def paid_bill(place):
    bill = bills.keep_bill(place.book().pk)
    asked = {"amount_cents": bill.due_cents, "method": "cash", "reference": "", "by": place.by}
    counter.take_payment(bill_id=bill.pk, **asked)
    bill.refresh_from_db()
    return bill


def proxy_of(place):
    return acts.grant(
        patient=factories.PatientFactory(),
        user=factories.PatientFactory(with_login=True).user,
        relation=Proxy.Relation.CAREGIVER,
        evidence=Proxy.Evidence.PATIENT_PRESENT,
        by=place.by,
    )


@scene("proxy.granted")
def proxy_granted(place):
    proxy_of(place)


@scene("proxy.ended")
def proxy_ended(place):
    acts.end(proxy=proxy_of(place), reason=Proxy.End.BY_DESK, by=place.by)


@scene("patient.singpass_linked")
def singpass_linked(place, topic="patient.singpass_linked"):
    patient = factories.PatientFactory()
    publish(topic, f"patient:{patient.pk}", {"patient": patient.pk, "by": place.by.pk}, place.clinic)


@scene("patient.singpass_unlinked")
def singpass_unlinked(place):
    singpass_linked(place, "patient.singpass_unlinked")


@scene("incident.person")
def incident_person(place):
    incident = Incident.objects.create(
        title="Lost laptop", discovered_at=timezone.now(), made_by=place.by, letter="A laptop was lost."
    )
    patient = factories.PatientFactory()
    data = {"incident": incident.pk, "patient": patient.pk, "by": place.by.pk}
    publish("incident.person", f"incident:{incident.pk}", data, place.clinic)


@scene("audit.over_limit")
def audit_over_limit(place):
    data = {"by": place.by.pk, "records": 61, "limit": 60, "level": 1}
    publish("audit.over_limit", f"user:{place.by.pk}", data, place.clinic)


@scene("bill.paid")
def bill_paid(place):
    receipts.announce_if_paid(paid_bill(place).pk)


@scene("bill.credited")
def bill_credited(place):
    bill = paid_bill(place)
    with transaction.atomic():
        bills.credit(bill, cents=100, reason=CreditNote.Reason.GOODWILL)


@scene("paylink.sent")
def paylink_sent(place):
    paylinks.send_link(bill_id=bills.keep_bill(place.book().pk).pk, by=place.by)


def payment_event(place, topic, payment, **more):
    data = {"payment": str(payment.pk), "booking": payment.booking_id, "amount_cents": payment.amount_cents}
    publish(topic, f"payment:{payment.pk}", data | more, place.clinic)


@scene("payment.failed")
def payment_failed(place):
    payment = place.payment(status="canceled", failure_code="slot_taken")
    payment_event(place, "payment.failed", payment, reason="slot_taken")


@scene("payment.succeeded")
def payment_succeeded(place):
    payment_event(place, "payment.succeeded", place.payment(place.book(), status="created"))


@scene("payment.refunded")
def payment_refunded(place):
    payment = place.payment(place.book(), status="canceled")
    payment_event(place, "payment.refunded", payment, reason="slot_taken")
