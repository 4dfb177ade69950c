"""To Singpass and back. Whatever fails ends on one page with our own words and another way to go on."""

import time
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from joserfc.jwk import ECKey
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from clinic_booking import audit, logs
from clinic_booking.accounts import sessions, step_up
from clinic_booking.models import User
from patients.models import Patient
from patients.singpass import client, is_on, keys, provider
from patients.singpass.backend import Attempt
from patients.singpass.errors import Reason, SingpassError, logins, refused

STATES = "oidc_states"  # mozilla-django-oidc's name
STATE_SECONDS = 600
JWKS_SECONDS = 300
ADDING = "singpass.adding"


def fail(request: HttpRequest, error: SingpassError) -> HttpResponse:
    error.log()
    reference = logs.request_id.get()
    return HttpResponseRedirect(
        f"{reverse('singpass_failed')}?{urlencode({'reason': error.reason, 'ref': reference})}"
    )


def adding_token(user: User) -> str:
    """In the link that adds Singpass to a login, so that no other site can make somebody follow it."""
    return signing.dumps(user.pk, salt=ADDING)


@method_decorator([login_not_required, never_cache], name="dispatch")
class Start(OIDCAuthenticationRequestView):
    def get(self, request: HttpRequest) -> HttpResponse:
        if elsewhere := _at_our_host(request):
            return elsewhere
        if "add" in request.GET and not step_up.is_fresh(request):
            return step_up.ask(request)
        try:
            return self._push(request)
        except SingpassError as error:
            return fail(request, error)

    def get_extra_params(self, request: HttpRequest) -> dict[str, str]:
        message = settings.SINGPASS_CONTEXT_MESSAGE
        more = {"authentication_context_message": message} if message else {}
        return {"authentication_context_type": settings.SINGPASS_CONTEXT_TYPE, **more}

    def _push(self, request: HttpRequest) -> HttpResponse:
        """`super()` makes state, nonce and verifier and keeps them; what it would send by the browser goes by PAR."""
        if not is_on():
            raise SingpassError(Reason.OFF, "off")
        adds_to = _adds_to(request)
        _forget_old(request)
        made = super().get(request)
        parameters = dict(parse_qsl(urlsplit(made.url).query))
        parameters |= {
            "client_id": settings.SINGPASS_CLIENT_ID,
            "redirect_uri": settings.SINGPASS_REDIRECT_URI,
        }
        parameters["scope"] = settings.SINGPASS_SCOPES
        key = ECKey.generate_key("P-256")
        state = parameters["state"]
        onward = request.session.pop("oidc_login_next", None) or ""
        request.session[STATES][state] |= {
            "key": key.as_dict(private=True),
            "next": onward if onward.startswith("/") else "",
            "adds_to": adds_to,
        }
        request.session.modified = True
        try:
            found = provider.discover()
            pushed = client.push(parameters, key=key)
        except SingpassError:
            del request.session[STATES][state]
            raise
        query = urlencode({"client_id": settings.SINGPASS_CLIENT_ID, "request_uri": pushed})
        return HttpResponseRedirect(f"{found.authorization_endpoint}?{query}")


@method_decorator([login_not_required, never_cache], name="dispatch")
class Callback(OIDCAuthenticationCallbackView):
    def get(self, request: HttpRequest) -> HttpResponse:
        """Only a state of this session changes anything: not a forged error, not a replay."""
        state = request.GET.get("state", "")
        entry = request.session.get(STATES, {}).get(state)
        try:
            if not is_on():
                raise SingpassError(Reason.OFF, "off")
            if entry is None:
                raise SingpassError(Reason.UNKNOWN, "state")
            request.singpass = _attempt(request, entry)  # type: ignore[attr-defined]
        except SingpassError as error:
            if entry is not None:
                del request.session[STATES][state]
                request.session.modified = True
            return fail(request, error)
        # What `super()` finds here it passes on as credentials, which a failed login signals to whoever listens.
        entry |= {"nonce": "", "code_verifier": None}
        return cast(HttpResponse, super().get(request))

    def login_success(self) -> HttpResponse:
        attempt: Attempt = self.request.singpass
        logins.labels("done").inc()
        if attempt.adds_to:
            return redirect("singpass_account")
        if self.request.user == self.user:
            sessions.prove(self.request, "singpass")
        self.request.door_methods = ("singpass",)
        with transaction.atomic():
            super().login_success()
            audit.record(audit.Action.LOGIN, f"user:{self.user.pk}", by=self.user, reason="singpass")
            # In here, since outside the database still takes this request for that of a stranger.
            has_record = Patient.objects.filter(user=self.user).exists()
        self.request.session.pop("oidc_id_token_expiration", None)
        if not has_record:
            return redirect(f"{reverse('singpass_details')}?{urlencode({'next': attempt.next})}")
        return redirect(attempt.next or "me")

    def login_failure(self) -> HttpResponse:
        attempt: Attempt = self.request.singpass
        return fail(self.request, attempt.error or refused("login"))


def _attempt(request: HttpRequest, entry: dict[str, Any]) -> Attempt:
    """Raises SingpassError for a callback that ends the login."""
    named = request.GET.get("iss")
    if named is None and provider.discover().names_itself:
        raise refused("callback_no_iss")
    if named is not None and named != settings.SINGPASS_ISSUER:
        raise refused("callback_iss")
    if time.time() - entry["added_on"] > STATE_SECONDS:
        raise SingpassError(Reason.TOO_LATE, "old_state")
    if "error" in request.GET:
        raise _said(request.GET["error"])
    if not request.GET.get("code"):
        raise refused("callback_code")
    adds_to = None
    if entry.get("adds_to") is not None:
        user = request.user
        if not isinstance(user, User) or user.pk != entry["adds_to"]:
            raise SingpassError(Reason.UNKNOWN, "other_user")
        adds_to = user
    key = ECKey.import_key(entry["key"])
    return Attempt(entry["nonce"], entry["code_verifier"], key, entry["next"], adds_to)


def _said(error: str) -> SingpassError:
    if error in client.TRANSIENT:
        return SingpassError(Reason.UNAVAILABLE, error)
    return SingpassError(Reason.CANCELLED, error if error == "access_denied" else "callback_error")


def _at_our_host(request: HttpRequest) -> HttpResponse | None:
    """Singpass sends the browser back to one address only; started under another, the session would not be there."""
    ours = urlsplit(settings.SINGPASS_REDIRECT_URI)
    if not is_on() or request.get_host() == ours.netloc or "moved" in request.GET:
        return None
    query = urlencode({**request.GET.dict(), "moved": "1"})
    return HttpResponseRedirect(f"{ours.scheme}://{ours.netloc}{request.path}?{query}")


def _adds_to(request: HttpRequest) -> int | None:
    token = request.GET.get("add")
    if token is None:
        return None
    try:
        wanted = signing.loads(token, salt=ADDING, max_age=STATE_SECONDS)
    except signing.BadSignature:
        raise SingpassError(Reason.TOO_LATE, "adding_token") from None
    if wanted != request.user.pk:
        raise SingpassError(Reason.UNKNOWN, "other_user")
    return int(wanted)


def _forget_old(request: HttpRequest) -> None:
    states = request.session.get(STATES, {})
    kept = {
        state: entry for state, entry in states.items() if time.time() - entry["added_on"] <= STATE_SECONDS
    }
    if len(kept) < len(states):
        request.session[STATES] = kept


@never_cache
@login_not_required
@require_safe
def failed(request: HttpRequest) -> HttpResponse:
    asked = request.GET.get("reason", "")
    reason = Reason(asked) if asked in Reason.values else Reason.REFUSED
    reference = request.GET.get("ref", "")
    context = {
        "nav": "login",
        "reason": reason,
        "reference": reference if reference.isalnum() and len(reference) <= 64 else "",
        "may_retry": is_on()
        and reason not in (Reason.DISABLED, Reason.STAFF, Reason.IN_USE, Reason.HAS_ANOTHER),
    }
    return render(request, "patients/singpass_failed.html", context)


@login_not_required
@require_safe
def jwks(request: HttpRequest) -> JsonResponse:
    """From memory: when this does not answer within three seconds, nobody can log in."""
    if not (settings.SINGPASS_SIGNING_KEYS and settings.SINGPASS_ENCRYPTION_KEYS):
        raise Http404
    return JsonResponse(keys.published(), headers={"Cache-Control": f"public, max-age={JWKS_SECONDS}"})
