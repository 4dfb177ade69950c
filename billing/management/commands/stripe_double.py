import signal
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from billing.stripe_double.http import DoubleServer


class Command(BaseCommand):
    help = "Run the stand-in for Stripe on a loopback port. For development only."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=12111, help="0 takes a free one")
        parser.add_argument("--webhook", default="", help="address that events are posted to")
        parser.add_argument("--state", type=Path, help="file that keeps payments over a restart")

    def handle(self, *args: Any, port: int, webhook: str, state: Path | None, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("The Stripe double refuses to run in production.")
        if not settings.STRIPE_SECRET_KEY.startswith(("sk_test_", "rk_test_")):
            raise CommandError("The Stripe double takes test keys only, and STRIPE_SECRET_KEY is none.")
        if not settings.STRIPE_PUBLISHABLE_KEY.startswith("pk_test_"):
            raise CommandError("The Stripe double takes test keys only, and STRIPE_PUBLISHABLE_KEY is none.")
        try:
            server = DoubleServer(
                port=port, webhook=webhook, secret=settings.STRIPE_WEBHOOK_SECRETS[0], state=state
            )
        except OSError as error:
            sentence = f"Port {port} of 127.0.0.1 cannot be used ({error.strerror}). Try another --port."
            raise CommandError(sentence) from error
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Stripe double on {server.url}")
        self.stdout.flush()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            server.serve_forever(0.2)
        except KeyboardInterrupt:
            pass
        finally:
            server.server_close()
