"""One factory for each model, with plausible defaults. Supply for a day: `make_day` and `make_slots`."""

import datetime as dt
from functools import lru_cache

import factory
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Permission
from django.utils import timezone
from factory.django import DjangoModelFactory

from billing.models import Contract, ContractLine, ContractPattern
from clinic_booking.models import User
from patients.models import Consent, Patient, PatientClinic
from scheduling import models
from scheduling.demand import store_patterns
from scheduling.models.bookings import HOLD_SECONDS

PASSWORD = "correct-horse-battery"
LAST = dt.timedelta(minutes=20)


@lru_cache
def _hashed() -> str:
    return make_password(PASSWORD)


class UserFactory(DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    class Params:
        is_admin = factory.Trait(is_staff=True, is_superuser=True)

    username = factory.Sequence(lambda n: f"user{n}@demo.example")
    email = factory.SelfAttribute("username")
    password = factory.LazyFunction(_hashed)  # once: hashing is slow on purpose


def clerk(*clinics):
    """Who was given every page of the admin by name, and manages these clinics."""
    user = UserFactory(is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    for clinic in clinics:
        MembershipFactory(user=user, clinic=clinic, role=models.Membership.Role.MANAGER)
    return user


class PatientFactory(DjangoModelFactory):
    class Meta:
        model = Patient

    class Params:
        with_login = factory.Trait(
            user=factory.SubFactory(UserFactory, username=factory.SelfAttribute("..email")),
        )

    name = factory.Sequence(lambda n: f"Tan Mei Ling {n}")
    email = factory.Sequence(lambda n: f"patient{n}@example.com")
    phone = factory.Sequence(lambda n: f"+659000{n % 10000:04d}")
    birth_date = dt.date(1988, 4, 12)


def known(patient, clinic):
    """As by a visit there."""
    PatientClinic.objects.get_or_create(patient=patient, clinic_id=clinic.pk)
    return patient


class ConsentFactory(DjangoModelFactory):
    class Meta:
        model = Consent

    patient = factory.SubFactory(PatientFactory)
    purpose = Consent.Purpose.CARE_AND_BOOKING
    notice_version = "2026-11"
    is_given = True


class LegalEntityFactory(DjangoModelFactory):
    class Meta:
        model = models.LegalEntity

    class Params:
        gst_registered = factory.Trait(
            gst_number=factory.LazyAttribute(lambda entity: f"M9-{entity.uen[:7]}-X")
        )

    name = factory.Sequence(lambda n: f"Harbour Clinics {n} Pte Ltd")
    uen = factory.Sequence(lambda n: f"2099{n:05d}X")


class ClinicFactory(DjangoModelFactory):
    class Meta:
        model = models.Clinic

    class Params:
        pay_at_clinic = factory.Trait(payment_policy=models.Clinic.PaymentPolicy.PAY_AT_CLINIC)

    slug = factory.Sequence(lambda n: f"clinic-{n}")
    name = factory.Sequence(lambda n: f"Clinic {n}")
    legal_entity = factory.SubFactory(LegalEntityFactory)
    address = "1 Example Street, Singapore 000001"
    phone = "+6560000000"
    quiet_from = quiet_until = dt.time(0)  # never: tests run at any hour
    # Or a test that cancels would depend on the time of day. Those about fees say what they are.
    late_cancel_percent = 0


class StationFactory(DjangoModelFactory):
    class Meta:
        model = models.Station

    clinic = factory.SubFactory(ClinicFactory)
    name = factory.Sequence(lambda n: f"Chair {n}")
    kind = "consult"


class PractitionerFactory(DjangoModelFactory):
    class Meta:
        model = models.Practitioner

    class Params:
        with_login = factory.Trait(user=factory.SubFactory(UserFactory))

    name = factory.Sequence(lambda n: f"Dr Lim Wei {n}")
    specialty = "General practice"


class ServiceFactory(DjangoModelFactory):
    class Meta:
        model = models.Service
        skip_postgeneration_save = True

    class Params:
        double = factory.Trait(duration_minutes=40)
        with_buffer = factory.Trait(buffer_minutes=20)

    slug = factory.Sequence(lambda n: f"service-{n}")
    name = factory.Sequence(lambda n: f"Service {n}")
    category = "General"
    duration_minutes = 20
    price_cents = 6500
    station_kind = "consult"

    @factory.post_generation
    def practitioners(
        self, create: bool, extracted: list[models.Practitioner] | None, **kwargs: object
    ) -> None:
        if create and extracted:
            self.practitioners.add(*extracted)


class MembershipFactory(DjangoModelFactory):
    class Meta:
        model = models.Membership

    user = factory.SubFactory(UserFactory)
    clinic = factory.SubFactory(ClinicFactory)
    role = models.Membership.Role.RECEPTIONIST


class EquipmentFactory(DjangoModelFactory):
    class Meta:
        model = models.Equipment

    clinic = factory.SubFactory(ClinicFactory)
    kind = factory.Sequence(lambda n: f"laser-head-{n}")
    name = factory.SelfAttribute("kind")
    units = 1


class WalkingTimeFactory(DjangoModelFactory):
    class Meta:
        model = models.WalkingTime

    first = factory.SubFactory(StationFactory)
    second = factory.LazyAttribute(lambda walk: StationFactory(clinic=walk.first.clinic))
    minutes = 5


class BookingPatternFactory(DjangoModelFactory):
    class Meta:
        model = models.BookingPattern
        skip_postgeneration_save = True

    request = factory.SubFactory("tests.factories.BookingRequestFactory")

    @factory.post_generation
    def practitioners(self, create, extracted, **kwargs):
        if create and extracted:
            self.practitioners.add(*extracted)

    @factory.post_generation
    def clinics(self, create, extracted, **kwargs):
        if create and extracted:
            self.clinics.add(*extracted)


class WaitlistEntryFactory(DjangoModelFactory):
    class Meta:
        model = models.WaitlistEntry

    session = factory.SubFactory("tests.factories.SessionTicketFactory")


class ScheduleTemplateFactory(DjangoModelFactory):
    class Meta:
        model = models.ScheduleTemplate
        skip_postgeneration_save = True

    clinic = factory.SubFactory(ClinicFactory)
    practitioner = factory.SubFactory(PractitionerFactory)
    station = factory.SubFactory(StationFactory, clinic=factory.SelfAttribute("..clinic"))
    weekdays = factory.LazyFunction(lambda: [1, 2, 3, 4, 5, 6, 7])
    starts_at = dt.time(9)
    ends_at = dt.time(12)
    valid_from = dt.date(2024, 1, 1)

    @factory.post_generation
    def breaks(self, create, extracted, **kwargs):
        for starts_at, ends_at in extracted or []:
            TemplateBreakFactory(template=self, starts_at=starts_at, ends_at=ends_at)


class TemplateBreakFactory(DjangoModelFactory):
    class Meta:
        model = models.TemplateBreak

    template = factory.SubFactory(ScheduleTemplateFactory)
    starts_at = dt.time(10)
    ends_at = dt.time(10, 20)


class ScheduleExceptionFactory(DjangoModelFactory):
    """A day's closure; the traits are the other kinds."""

    class Meta:
        model = models.ScheduleException

    class Params:
        leave = factory.Trait(
            kind=models.ScheduleException.Kind.LEAVE,
            clinic=None,
            practitioner=factory.SubFactory(PractitionerFactory),
        )
        extra_hours = factory.Trait(
            kind=models.ScheduleException.Kind.EXTRA_HOURS,
            practitioner=factory.SubFactory(PractitionerFactory),
            station=factory.SubFactory(StationFactory, clinic=factory.SelfAttribute("..clinic")),
        )

    kind = models.ScheduleException.Kind.CLOSURE
    clinic = factory.SubFactory(ClinicFactory)
    starts_at = factory.LazyFunction(lambda: tomorrow_at(0))
    ends_at = factory.LazyAttribute(lambda exception: exception.starts_at + dt.timedelta(days=1))


class SlotFactory(DjangoModelFactory):
    """A slot tomorrow at nine; each further one starts when the last ended."""

    class Meta:
        model = models.Slot

    class Params:
        blocked = factory.Trait(is_blocked=True, block_reason="Maintenance")

    clinic = factory.SubFactory(ClinicFactory)
    practitioner = factory.SubFactory(PractitionerFactory)
    station = factory.SubFactory(StationFactory, clinic=factory.SelfAttribute("..clinic"))
    starts_at = factory.LazyFunction(lambda: tomorrow_at(9))
    ends_at = factory.LazyAttribute(lambda slot: slot.starts_at + LAST)


class HoldFactory(DjangoModelFactory):
    """A live hold. It claims nothing by itself: `hold(slots)` does."""

    class Meta:
        model = models.Hold

    class Params:
        run_out = factory.Trait(
            locked_at=factory.LazyFunction(lambda: timezone.now() - dt.timedelta(minutes=10))
        )

    owner = factory.Sequence(lambda n: f"owner-{n}")
    service = factory.SubFactory(ServiceFactory)
    clinic = factory.SubFactory(ClinicFactory)
    practitioner = factory.SubFactory(PractitionerFactory)
    station = factory.SubFactory(StationFactory, clinic=factory.SelfAttribute("..clinic"))
    starts_at = factory.LazyFunction(lambda: tomorrow_at(9))
    ends_at = factory.LazyAttribute(lambda hold: hold.starts_at + LAST)
    occupied_until = factory.SelfAttribute("ends_at")
    price_cents = factory.SelfAttribute("service.price_cents")
    locked_at = factory.LazyFunction(timezone.now)
    expires_at = factory.LazyAttribute(lambda hold: hold.locked_at + dt.timedelta(seconds=HOLD_SECONDS))


class BookingRequestFactory(DjangoModelFactory):
    class Meta:
        model = models.BookingRequest

    patient = factory.SubFactory(PatientFactory)
    service = factory.SubFactory(ServiceFactory)
    source = models.BookingRequest.Source.ONLINE


class SessionTicketFactory(DjangoModelFactory):
    class Meta:
        model = models.SessionTicket

    request = factory.SubFactory(BookingRequestFactory)
    number = factory.Sequence(lambda n: n % 1000 + 1)


class VisitTicketFactory(DjangoModelFactory):
    class Meta:
        model = models.VisitTicket
        django_get_or_create = ("patient", "clinic", "date")

    patient = factory.SubFactory(PatientFactory)
    clinic = factory.SubFactory(ClinicFactory)
    date = factory.LazyFunction(lambda: tomorrow_at(9).date())


class BookingFactory(DjangoModelFactory):
    """A consistent booking without slots; `book(slots)` makes one that claims them."""

    class Meta:
        model = models.Booking

    class Params:
        cancelled = factory.Trait(
            status=models.Booking.Status.CANCELLED,
            cancelled_at=factory.LazyFunction(timezone.now),
            cancel_reason="patient",
        )

    reference = factory.Sequence(lambda n: f"T{n:07d}")
    patient = factory.SubFactory(PatientFactory)
    service = factory.SubFactory(ServiceFactory)
    clinic = factory.SubFactory(ClinicFactory)
    practitioner = factory.SubFactory(PractitionerFactory)
    station = factory.SubFactory(StationFactory, clinic=factory.SelfAttribute("..clinic"))
    starts_at = factory.LazyFunction(lambda: tomorrow_at(9))
    ends_at = factory.LazyAttribute(
        lambda booking: booking.starts_at + dt.timedelta(minutes=booking.service.duration_minutes)
    )
    price_cents = factory.SelfAttribute("service.price_cents")
    session = factory.SubFactory(
        SessionTicketFactory,
        status=factory.LazyAttribute(lambda session: session_status(session.factory_parent)),
        request__patient=factory.SelfAttribute("...patient"),
        request__service=factory.SelfAttribute("...service"),
    )
    visit = factory.SubFactory(
        VisitTicketFactory,
        patient=factory.SelfAttribute("..patient"),
        clinic=factory.SelfAttribute("..clinic"),
        date=factory.LazyAttribute(lambda visit: visit.clinic.local_date(visit.factory_parent.starts_at)),
    )


def session_status(booking: factory.builder.Resolver) -> str:
    status = getattr(booking, "status", models.Booking.Status.BOOKED)
    return {"cancelled": "planned", "noshow": "planned", "fulfilled": "completed"}.get(status, "scheduled")


def tomorrow_at(hour: int, minute: int = 0) -> dt.datetime:
    """Tomorrow in the default zone, Singapore."""
    day = timezone.localdate() + dt.timedelta(days=1)
    return timezone.make_aware(dt.datetime.combine(day, dt.time(hour, minute)))


def make_slots(
    practitioner: models.Practitioner,
    station: models.Station,
    starts_at: dt.datetime,
    *,
    slots: int = 6,
    minutes: int = 20,
) -> list[models.Slot]:
    """Consecutive free slots from an instant."""
    step = dt.timedelta(minutes=minutes)
    return models.Slot.objects.bulk_create(
        models.Slot(
            clinic_id=station.clinic_id,
            practitioner=practitioner,
            station=station,
            starts_at=starts_at + n * step,
            ends_at=starts_at + (n + 1) * step,
        )
        for n in range(slots)
    )


def make_day(
    practitioner: models.Practitioner,
    station: models.Station,
    date: dt.date,
    *,
    slots: int = 6,
    first: dt.time = dt.time(9),
    minutes: int = 20,
) -> list[models.Slot]:
    """Consecutive free slots on a day of the clinic, from nine o'clock there."""
    starts_at = dt.datetime.combine(date, first, station.clinic.zone)
    return make_slots(practitioner, station, starts_at, slots=slots, minutes=minutes)


def hold(slots: list[models.Slot], **values: object) -> models.Hold:
    """A hold on exactly these consecutive slots; `run_out=True` for one that has expired."""
    made = HoldFactory(**_place(slots), **values)
    _claim(slots, hold=made, held_until=made.expires_at)
    return made


def book(slots: list[models.Slot], **values: object) -> models.Booking:
    """A booking on exactly these consecutive slots."""
    made = BookingFactory(**_place(slots), **values)
    _claim(slots, booking=made)
    return made


def _place(slots: list[models.Slot]) -> dict[str, object]:
    first, last = slots[0], slots[-1]
    return {
        "clinic": first.clinic,
        "practitioner": first.practitioner,
        "station": first.station,
        "starts_at": first.starts_at,
        "ends_at": last.ends_at,
    }


def _claim(slots: list[models.Slot], **claim: object) -> None:
    models.Slot.objects.filter(pk__in=[slot.pk for slot in slots]).update(**claim)
    for slot in slots:
        slot.refresh_from_db()


# -- Contracts -----------------------------------------------------------------------------------


class ContractFactory(DjangoModelFactory):
    """A draft. `lines=[{…}]` gives it lines."""

    class Meta:
        model = Contract
        skip_postgeneration_save = True

    reference = factory.Sequence(lambda n: f"C-2026-{n + 1000}")
    patient = factory.SubFactory(PatientFactory)
    clinic = factory.SubFactory(ClinicFactory)

    @factory.post_generation
    def lines(self, create, extracted, **kwargs):
        for values in extracted or []:
            ContractLineFactory(contract=self, **values)


class ContractLineFactory(DjangoModelFactory):
    class Meta:
        model = ContractLine
        skip_postgeneration_save = True

    contract = factory.SubFactory(ContractFactory)
    position = factory.LazyAttribute(lambda line: line.contract.lines.count() + 1)
    service = factory.SubFactory(ServiceFactory)
    quantity = 6
    price_cents = 20000
    valid_from = factory.LazyFunction(timezone.localdate)
    valid_until = factory.LazyAttribute(lambda line: line.valid_from + dt.timedelta(180))

    @factory.post_generation
    def patterns(self, create, extracted, **kwargs):
        store_patterns(ContractPattern, extracted or [], line=self)


def wait(
    service: models.Service, *, patient: Patient | None = None, **wishes: object
) -> models.WaitlistEntry:
    """An entry of the waitlist for one session of the service, with the wishes as a hard pattern."""
    entry = {
        name: wishes.pop(name)
        for name in ("boost", "joined_at", "is_paused", "notice_minutes")
        if name in wishes
    }
    asked = {
        name: wishes.pop(name)
        for name in ("urgency", "source", "valid_from", "valid_until")
        if name in wishes
    }
    request = BookingRequestFactory(
        **({"service": service, "patient": patient or PatientFactory(), "source": "waitlist"} | asked)
    )
    if wishes:
        BookingPatternFactory(**({"request": request, "is_hard": True} | wishes))
    return WaitlistEntryFactory(
        session=SessionTicketFactory(request=request, number=1, status="planned"), **entry
    )
