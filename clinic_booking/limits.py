"""How often something may be asked for: coarse, against scripts. What must hold is counted in the database elsewhere.

Counted in Redis for all processes; without it each process counts for itself, so that losing Redis neither locks
anybody out nor lets everybody in. The windows are fixed: at their border twice as much may pass.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import Counter

from clinic_booking import errors
from clinic_booking.addresses import household

logger = logging.getLogger(__name__)
refused = Counter("requests_limited", "Requests that came too often", ["scope"])

AWAY_SECONDS = 5  # for which a Redis that did not answer is not asked again
MOST_KEYS = 20_000  # that a process counts for itself


class Limit(NamedTuple):
    times: int
    seconds: int


# What a view counts as: by its name in the URLs, with the methods that count.
SCOPES: dict[str, tuple[str, frozenset[str]]] = {}
READS, WRITES = frozenset({"GET", "HEAD"}), frozenset({"POST"})


def _scope(name: str, methods: frozenset[str], *views: str) -> None:
    SCOPES.update(dict.fromkeys(views, (name, methods)))


_scope("login", WRITES, "login", "admin:login", "clinic_booking.accounts.login_views.admin_login")
_scope(
    "hold",
    WRITES,
    "holds",
    "plan_holds",
    "move",
    "visit_move",
    "renewal",
    "checkout_payment",
    "pay_link_payment",
)
_scope("search", READS, "book", "plan", "hold_offers")
# Each start is a call to Singpass, for which a thread waits.
_scope("login", READS, "oidc_authentication_init", "oidc_authentication_callback")
_scope("code", WRITES, "join_waitlist")  # writes to whatever address somebody types
_scope("webhook", WRITES, "stripe_webhook")
_scope("report", WRITES, "message_report")
_scope("feed", READS, "feed", "booking_ics")
_scope("secret", READS | WRITES, "pay_link", "stop_messages", "booking", "answer", "new_time", "screen")
_scope("secret", READS | WRITES, "data_copy", "people_invitation")
_scope("complaint", WRITES, "privacy_complaint")
# Beginnings of names: doors (clinic_booking/accounts/urls.py), however many they are.
PREFIXES = {
    "account": "login",
    "mfa_": "login",
    "login_": "login",
    "switch": "login",
    "new_passkey": "login",
    "add_passkey": "login",
    "step_up": "login",
    "passkey": "login",
    "claim": "code",
    "code": "code",
    "singpass": "login",
    "reset": "code",
    "unmask": "unmask",
}


def scope_of(view_name: str, method: str) -> str | None:
    if view_name in SCOPES:
        scope, methods = SCOPES[view_name]
        return scope if method in methods else None
    if method != "POST":
        return None
    return next((scope for start, scope in PREFIXES.items() if view_name.startswith(start)), None)


class RateLimits:
    """Answers 429 with when to try again. Behind the login: who is logged in is counted alone, not with the house."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: object, args: object, kwargs: object
    ) -> HttpResponse | None:
        match = request.resolver_match
        scope = scope_of(match.view_name or "", request.method or "") if match else None
        if scope is None or not settings.RATE_LIMITS:
            return None
        for who in callers(request, scope):
            if wait := counted(scope, who):
                refused.labels(scope).inc()
                return errors.answer(request, errors.TooManyRequests(wait))
        return None


def callers(request: HttpRequest, scope: str) -> Iterator[str]:
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        yield f"user:{user.pk}"
        return
    yield f"address:{household(request)}"
    if scope in ("login", "code"):
        # Of one account from many addresses. The name is a person's, so it is kept as a hash only.
        name = next((v for field in ("username", "login", "email") if (v := request.POST.get(field))), "")
        if name:
            yield f"account:{hashlib.sha256(name.strip().lower().encode()).hexdigest()[:32]}"


def counted(scope: str, who: str) -> int:
    """One more. Seconds until it may be tried again, or 0 while it is within the limit."""
    kind = "account" if who.startswith("account:") else scope
    if not (rule := settings.RATE_LIMITS.get(kind) or settings.RATE_LIMITS.get(scope)):
        return 0
    limit, now = Limit(*rule), time.time()
    window = int(now // limit.seconds)
    times = _count(f"limit:{kind}:{who}:{window}", limit.seconds)
    return max(1, int((window + 1) * limit.seconds - now)) if times > limit.times else 0


# -- Counting ------------------------------------------------------------------------------------

_redis: redis.Redis | None = None
_away_until = 0.0
_own: dict[str, int] = {}
_own_lock = threading.Lock()


def _count(key: str, seconds: int) -> int:
    global _redis, _away_until
    if time.monotonic() >= _away_until:
        try:
            if _redis is None:
                _redis = redis.Redis.from_url(
                    settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5
                )
            pipeline = _redis.pipeline(transaction=False)
            pipeline.incr(key)
            pipeline.expire(key, seconds)
            return int(pipeline.execute()[0])
        except redis.RedisError:
            logger.warning("limits are counted without Redis")
            _away_until = time.monotonic() + AWAY_SECONDS
    return _count_here(key)


def _count_here(key: str) -> int:
    with _own_lock:
        if len(_own) >= MOST_KEYS:
            _own.clear()
        _own[key] = _own.get(key, 0) + 1
        return _own[key]
