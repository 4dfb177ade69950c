import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from billing.contracts import confirm_contract
from billing.models import Contract
from clinic_booking.errors import NamedError
from scheduling.models import Booking, SessionTicket


class Command(BaseCommand):
    help = "Confirm a contract and plan all its sessions. Confirmed already, it only says how it stands."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("reference", help="for example C-2026-0001")
        parser.add_argument("--json", action="store_true", help="print the sessions as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            contract = confirm_contract(reference=options["reference"], by=None)
        except Contract.DoesNotExist:
            raise CommandError(f"There is no contract {options['reference']}.") from None
        except NamedError as refusal:
            raise CommandError(str(refusal)) from refusal
        sessions = [as_dict(session) for session in sessions_of(contract)]
        if options["json"]:
            answer = {"contract": contract.reference, "status": contract.status, "sessions": sessions}
            self.stdout.write(json.dumps(answer, indent=2))
            return
        for s in sessions:
            what = f"{s['service']} {s['number']}"
            self.stdout.write(f"{what:<40}{s['starts_at'] or s['status']} {s['unplaced_reason']}".rstrip())
        placed = sum(s["starts_at"] is not None for s in sessions)
        self.stdout.write(
            f"{contract.reference} {contract.status}: {placed} of {len(sessions)} sessions have a time"
        )


def sessions_of(contract: Contract) -> list[SessionTicket]:
    sessions = SessionTicket.objects.filter(request__line__contract=contract)
    return list(sessions.select_related("request__service").order_by("request__line__position", "number"))


def as_dict(session: SessionTicket) -> dict[str, Any]:
    live = Q(session=session) & ~Q(status__in=[Booking.Status.CANCELLED, Booking.Status.NOSHOW])
    booked = Booking.objects.filter(live).select_related("clinic").first()
    return {
        "service": session.request.service.slug,
        "number": session.number,
        "status": session.status,
        "booking": booked.reference if booked else None,
        "starts_at": booked.starts_at.astimezone(booked.clinic.zone).isoformat() if booked else None,
        "unplaced_reason": session.unplaced_reason,
    }
