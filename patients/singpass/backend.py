"""Singpass as an authentication backend: what mozilla-django-oidc leaves open is closed here (docs/singpass.md)."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from joserfc.jwk import ECKey
from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from clinic_booking.models import User
from patients.singpass import client, identities, tokens
from patients.singpass.errors import SingpassError


@dataclass
class Attempt:
    """One login, from its own session to the backend. Not in the credentials: a failed login signals those to others."""

    nonce: str
    verifier: str
    key: ECKey
    next: str
    adds_to: User | None = None
    error: SingpassError | None = None


class SingpassBackend(OIDCAuthenticationBackend):
    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> User | None:
        """None for every other way of logging in, and for a login that failed: then the attempt knows why."""
        attempt: Attempt | None = getattr(request, "singpass", None)
        if request is None or attempt is None:
            return None
        try:
            answer = self.get_token({"code": request.GET.get("code", ""), "attempt": attempt})
            claims = self.verify_token(answer.get("id_token", ""), attempt=attempt, answer=answer)
            self.verify_claims(claims)
            return (
                identities.add(claims, user=attempt.adds_to) if attempt.adds_to else identities.log_in(claims)
            )
        except SingpassError as error:
            attempt.error = error
            return None

    def get_token(self, payload: dict[str, Any]) -> dict[str, Any]:
        attempt = payload["attempt"]
        return client.redeem(payload["code"], verifier=attempt.verifier, key=attempt.key)

    def verify_token(self, token: str, **kwargs: Any) -> dict[str, Any]:
        access_token = str(kwargs["answer"].get("access_token", ""))
        return tokens.read_id_token(token, nonce=kwargs["attempt"].nonce, access_token=access_token)

    def verify_claims(self, claims: dict[str, Any]) -> bool:
        tokens.check_person(claims)
        return True

    def get_user(self, user_id: Any) -> User | None:
        """A session that Singpass opened ends when the account is closed or the identity is taken from it."""
        user = User.objects.filter(pk=user_id, singpass__isnull=False).first()
        return user if user and self.user_can_authenticate(user) else None
