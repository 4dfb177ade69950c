"""Our keys for Singpass: what we publish of them, or a new pair for the secret store (docs/singpass.md)."""

import json
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from joserfc.jwk import ECKey

from patients.singpass import keys


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--new",
            action="store_true",
            help="print a new private signing key and encryption key, for the secret store",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(json.dumps(_new() if options["new"] else _published(), indent=2))


def _new() -> dict[str, Any]:
    return {
        name: {"keys": [_private(use)]}
        for name, use in (("SINGPASS_SIGNING_KEYS", "sig"), ("SINGPASS_ENCRYPTION_KEYS", "enc"))
    }


def _private(use: str) -> dict[str, Any]:
    key = ECKey.generate_key("P-256")
    key.ensure_kid()  # the thumbprint: never the same twice
    return {**key.as_dict(private=True), "kid": key.kid, "use": use}


def _published() -> dict[str, Any]:
    if not (settings.SINGPASS_SIGNING_KEYS and settings.SINGPASS_ENCRYPTION_KEYS):
        raise CommandError(
            "SINGPASS_SIGNING_KEYS and SINGPASS_ENCRYPTION_KEYS are not set; --new makes a pair."
        )
    try:
        return keys.published()
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from None
