from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from clinic_booking import audit
from patients.models import DataCopy, Patient
from patients.rights import copies, parts


class Command(BaseCommand):
    help = "Write what is held about a patient into a file: PDF to read, with --json for other programs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("uuid", type=UUID)
        parser.add_argument("--out", type=Path, required=True, help="a file that does not exist yet")
        parser.add_argument("--json", action="store_true")

    def handle(self, uuid: UUID, out: Path, **options: Any) -> None:
        patient = Patient.objects.filter(uuid=uuid).first()
        if patient is None:
            raise CommandError("There is no such patient.")
        form = DataCopy.Form.JSON if options["json"] else DataCopy.Form.PDF
        content = copies.content_of(patient, form)
        with transaction.atomic():
            audit.record(
                audit.Action.EXPORT,
                f"patient:{patient.pk}",
                by=None,
                patient_id=patient.pk,
                fields=[part.slug for part in parts.registered()],
                reason="export_patient",
            )
            _write(out, content)
        self.stdout.write(f"{len(content)} bytes written")


def _write(out: Path, content: bytes) -> None:
    """For its owner only; nothing is overwritten."""
    try:
        out.touch(mode=0o600, exist_ok=False)
        out.write_bytes(content)
    except OSError as error:
        raise CommandError(f"The file cannot be written: {error.strerror}.") from error
