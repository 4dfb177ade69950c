"""Contracts of the demo, made by the verbs that the desk uses: what is planned is what the matcher finds."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import transaction

from billing import contracts, counter, settlements
from billing.contracts import BillingTerms, Terms
from billing.instalments import equal_parts
from billing.models import Contract, CounterPayment
from clinic_booking.models import User
from patients.models import Patient
from scheduling.demand import PatternSpec, Policies
from scheduling.demo.staff import username
from scheduling.locks import new_reference
from scheduling.models import (
    Booking,
    BookingRequest,
    Clinic,
    Practitioner,
    Service,
    SessionTicket,
    Slot,
    VisitTicket,
)

MONDAY, TUESDAY, THURSDAY = 1, 2, 4
HISTORY_DAYS = (8, 4)  # before today, when the first sessions of a course were
SLOT = dt.timedelta(minutes=20)


@dataclass(frozen=True, kw_only=True)
class Sale:
    """`note` tells the contracts of the demo from each other."""

    note: str
    patient: int  # number in the demo's list; 0 has the login
    clinic: str
    service: str
    quantity: int
    price_cents: int
    rules: list[PatternSpec] = field(default_factory=list)
    days: int = 180
    billing: str = Contract.Billing.ON_SIGNING
    parts: int = 0
    paid_cents: int = 0  # at the counter
    then: Callable[[Contract, int], None] | None = None


def rule(*, is_hard: bool = True, **values: object) -> PatternSpec:
    return PatternSpec(is_hard=is_hard, **values)  # type: ignore[arg-type]


def confirm(contract: Contract, paid_cents: int) -> None:
    contracts.confirm_contract(reference=contract.reference, by=None)
    _pay(contract, paid_cents)


def confirm_and_cancel(contract: Contract, paid_cents: int) -> None:
    """The first visit is kept, the others are given back."""
    confirm(contract, paid_cents)
    first, *others = contracts.future_bookings(contract).values_list("pk", flat=True) or [0]
    decisions = {first: True, **dict.fromkeys(others, False)} if first else {}
    contracts.cancel_contract(
        reference=contract.reference, by=None, reason="Moves to another country", decisions=decisions
    )


def confirm_with_history(contract: Contract, paid_cents: int) -> None:
    """The first sessions were delivered before the demo begins."""
    contracts.confirm_contract(reference=contract.reference, by=None, plan=False)
    request = contracts.requests_of(contract).get()
    with transaction.atomic():
        for number, days_ago in enumerate(HISTORY_DAYS, 1):
            _deliver(request, number, contract.clinic, days_ago)
    settlements.settle(contract_id=contract.pk)
    contracts.plan_contract(contract_id=contract.pk, by=None)
    _pay(contract, paid_cents)


SALES = [
    Sale(
        note="Knee, after the operation",
        patient=0,
        clinic="tanjong-pagar",
        service="physiotherapy",
        quantity=10,
        price_cents=9900,
        paid_cents=99000,
        rules=[rule(min_gap_days=3), rule(is_hard=False, until_time=dt.time(12))],
        then=confirm_with_history,
    ),
    Sale(
        note="Mondays only",
        patient=0,
        clinic="jurong-east",
        service="laser-hair-removal",
        quantity=6,
        price_cents=19900,
        billing=Contract.Billing.INSTALMENTS,
        parts=3,
        paid_cents=25000,
        rules=[rule(weekdays=frozenset({MONDAY}), min_gap_days=7)],
        then=confirm,
    ),
    Sale(
        note="To be confirmed",
        patient=21,
        clinic="tanjong-pagar",
        service="laser-hair-removal",
        quantity=6,
        price_cents=18900,
        billing=Contract.Billing.INSTALMENTS,
        parts=6,
        rules=[rule(weekdays=frozenset({TUESDAY, THURSDAY}), min_gap_days=2)],
    ),
    Sale(
        note="Comes by train, short of time",
        patient=34,
        clinic="tanjong-pagar",
        service="ultrasound-therapy",
        quantity=5,
        price_cents=8900,
        billing=Contract.Billing.PER_VISIT,
        rules=[rule(from_time=dt.time(12), until_time=dt.time(13), min_gap_days=1)],
        days=20,
        then=confirm,
    ),
    Sale(
        note="Moved away",
        patient=55,
        clinic="tampines",
        service="physiotherapy",
        quantity=4,
        price_cents=10500,
        paid_cents=42000,
        rules=[rule(min_gap_days=2)],
        then=confirm_and_cancel,
    ),
]


def make_contracts(clinics: Sequence[Clinic], patients: Sequence[Patient]) -> int:
    """Whatever of it is missing. Returns how many."""
    by_slug = {clinic.slug: clinic for clinic in clinics}
    made = 0
    for sale in SALES:
        clinic, patient = by_slug[sale.clinic], patients[sale.patient]
        notes = {contract.note for contract in Contract.objects.filter(clinic=clinic, patient=patient)}
        if sale.note not in notes:
            contract = _draft(sale, clinic, patient)
            made += 1
            if sale.then:
                sale.then(contract, sale.paid_cents)
    return made


def _pay(contract: Contract, cents: int) -> None:
    """Until it is used up, the first bills first."""
    desk = User.objects.get(username=username("receptionist"))
    for bill in contract.bills.order_by("number"):
        if amount := min(cents, bill.due_cents):
            counter.take_payment(
                bill_id=bill.pk,
                amount_cents=amount,
                method=CounterPayment.Method.TERMINAL,
                reference="",
                by=desk,
            )
            cents -= amount


def _draft(sale: Sale, clinic: Clinic, patient: Patient) -> Contract:
    today = clinic.today()
    terms = Terms(
        service=Service.objects.get(slug=sale.service),
        quantity=sale.quantity,
        price_cents=sale.price_cents,
        valid_from=today - dt.timedelta(14),
        valid_until=today + dt.timedelta(sale.days),
        patterns=sale.rules,
    )
    with transaction.atomic():
        contract = contracts.draft_contract(
            patient=patient,
            clinic=clinic,
            policies=Policies(late_cancel="forfeit", no_show="forfeit"),
            billed=BillingTerms(sale.billing),
            signed_on=today - dt.timedelta(14),
            note=sale.note,
            by=None,
        )
        contracts.put_line(contract_id=contract.pk, terms=terms, by=None)
        if sale.parts:
            parts = equal_parts(contract.total_cents, count=sale.parts, first_on=today)
            contracts.put_instalments(contract_id=contract.pk, parts=parts, by=None)
    return contract


def _deliver(request: BookingRequest, number: int, clinic: Clinic, days_ago: int) -> None:
    """A session that took place, with the slots it took: nobody plans what is past."""
    service = request.service
    station = clinic.stations.filter(kind=service.station_kind).order_by("pk")[0]
    who = Practitioner.objects.filter(services=service, templates__station=station).order_by("pk")[0]
    day = clinic.today() - dt.timedelta(days_ago)
    starts_at = dt.datetime.combine(day, dt.time(9), clinic.zone)
    session = request.sessions.get(number=number)
    visit, _made = VisitTicket.objects.get_or_create(patient=request.patient, clinic=clinic, date=day)
    booking = Booking.objects.create(
        reference=new_reference(),
        patient=request.patient,
        service=service,
        session=session,
        visit=visit,
        clinic=clinic,
        practitioner=who,
        station=station,
        starts_at=starts_at,
        ends_at=starts_at + dt.timedelta(minutes=service.duration_minutes),
        price_cents=0,
        status=Booking.Status.FULFILLED,
        created_at=starts_at - dt.timedelta(5),
    )
    Slot.objects.bulk_create(
        Slot(
            clinic=clinic,
            practitioner=who,
            station=station,
            starts_at=starts_at + n * SLOT,
            ends_at=starts_at + (n + 1) * SLOT,
            booking=booking,
        )
        for n in range(-(-service.occupied // SLOT))
    )
    SessionTicket.objects.filter(pk=session.pk).update(status=SessionTicket.Status.COMPLETED)
