"""The JWTs of a login: the two that we sign, and the ID token, which nobody else vouches for."""

import base64
import hashlib
import json
import math
import time
import uuid
from typing import Any

from django.conf import settings
from django.utils.crypto import constant_time_compare
from joserfc import jwe, jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from patients.singpass import keys, provider
from patients.singpass.errors import Reason, SingpassError, fault, refused

LIFE_SECONDS = 60
LEEWAY_SECONDS = 30
ENCRYPTIONS = ["A256CBC-HS512", "A256GCM"]
LONGEST = 16 * 1024
LOA = "urn:singpass:authentication:loa:"
# Other servers repeat iss and aud in the outer header.
OUTER = jwe.JWERegistry(algorithms=[*keys.KEY_WRAPS, *ENCRYPTIONS], strict_check_header=False)


def client_assertion() -> str:
    """Who we are, for one request: it may not be sent twice, not even on a retry."""
    key = keys.signing()
    client = settings.SINGPASS_CLIENT_ID
    claims = {"iss": client, "sub": client, "aud": settings.SINGPASS_ISSUER, **_once()}
    return _sign({"typ": "JWT", "kid": key.kid}, claims, key)


def dpop_proof(key: ECKey, url: str, nonce: str | None = None) -> str:
    """That we hold the key of this login, for one POST."""
    public = {name: key.as_dict(private=False)[name] for name in ("kty", "crv", "x", "y")}
    claims = {"htm": "POST", "htu": url.split("?")[0], **_once(), **({"nonce": nonce} if nonce else {})}
    return _sign({"typ": "dpop+jwt", "jwk": public}, claims, key)


def _once() -> dict[str, Any]:
    now = int(time.time())
    return {"iat": now, "exp": now + LIFE_SECONDS, "jti": str(uuid.uuid4())}


def _sign(header: dict[str, Any], claims: dict[str, Any], key: ECKey) -> str:
    alg = keys.ALGORITHMS[key.curve_name]
    return jwt.encode({**header, "alg": alg}, claims, key, algorithms=[alg])


# -- The ID token --------------------------------------------------------------------------------


def read_id_token(token: str, *, nonce: str, access_token: str = "") -> dict[str, Any]:
    """Its claims, after all checks that do not depend on who logs in. Raises SingpassError."""
    claims = _claims(_verified(_decrypted(token)))
    _check_parties(claims, nonce)
    _check_times(claims)
    if "at_hash" in claims and not constant_time_compare(str(claims["at_hash"]), _half_hash(access_token)):
        raise refused("at_hash")
    return claims


def check_person(claims: dict[str, Any]) -> None:
    """That it is a person, for herself, who proved enough. Raises SingpassError."""
    if not _is_text(claims.get("sub")):
        raise refused("sub")
    if claims.get("sub_type") != "user":
        raise refused("sub_type")
    if "act" in claims:
        raise refused("act")
    level = _level(claims.get("acr"))
    if not level:
        raise refused("acr")
    if level < _least():
        raise SingpassError(Reason.TOO_WEAK, "acr")


def _decrypted(token: str) -> str:
    if not isinstance(token, str) or len(token) > LONGEST:
        raise refused("id_token")
    if token.count(".") != 4:
        raise fault("id_token_not_encrypted")
    header = _header(token)
    key = keys.decryption(str(header.get("kid")))
    if key is None:
        raise fault("encryption_kid")
    try:
        plain = jwe.decrypt_compact(token, key, registry=OUTER).plaintext
        return (plain or b"").decode("ascii")
    except (JoseError, ValueError, TypeError, KeyError):
        raise refused("decryption") from None


def _verified(token: str) -> bytes:
    """The key comes from Singpass's own list by `kid`; what the header says of keys is not looked at."""
    if token.count(".") != 2:
        raise refused("no_signature")
    header = _header(token)
    if header.get("alg") != "ES256":
        raise refused("alg")
    kid = str(header.get("kid"))
    known = provider.signing_key(kid)
    if known is None:
        raise refused("signing_kid")
    try:
        return _payload(token, known)
    except JoseError:
        if newer := provider.refetched(kid):
            try:
                return _payload(token, newer)
            except JoseError:
                pass
    raise refused("signature")


def _payload(token: str, key: dict[str, Any]) -> bytes:
    return jws.deserialize_compact(token, ECKey.import_key(key), algorithms=["ES256"]).payload


def _header(token: str) -> dict[str, Any]:
    try:
        part = token.split(".")[0]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        raise refused("header") from None
    if not isinstance(found, dict):
        raise refused("header")
    return found


def _claims(payload: bytes) -> dict[str, Any]:
    try:
        found = json.loads(payload)
    except ValueError:
        raise refused("payload") from None
    if not isinstance(found, dict):
        raise refused("payload")
    return found


def _check_parties(claims: dict[str, Any], nonce: str) -> None:
    if claims.get("iss") != settings.SINGPASS_ISSUER:
        raise refused("iss")
    if claims.get("aud") not in (settings.SINGPASS_CLIENT_ID, [settings.SINGPASS_CLIENT_ID]):
        raise refused("aud")
    if not nonce or not constant_time_compare(str(claims.get("nonce", "")), nonce):
        raise refused("nonce")


def _check_times(claims: dict[str, Any]) -> None:
    now = time.time()
    issued, ends = _number(claims.get("iat")), _number(claims.get("exp"))
    if issued > now + LEEWAY_SECONDS:
        raise refused("iat")
    if ends <= now - LEEWAY_SECONDS:
        raise refused("exp")


def _number(value: Any) -> float:
    """Seconds, perhaps with a fraction."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise refused("times")
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable()


def _level(acr: Any) -> int:
    """1 to 3, or 0 for what is none."""
    number = acr.removeprefix(LOA) if isinstance(acr, str) and acr.startswith(LOA) else ""
    return int(number) if number in ("1", "2", "3") else 0


def _least() -> int:
    """Two factors, unless a staging machine says otherwise: of production, and of what is misspelt, never one."""
    is_real = settings.SINGPASS_ISSUER == settings.SINGPASS_PRODUCTION_ISSUER
    wanted = _level(settings.SINGPASS_MIN_ACR)
    return max(wanted, 2) if is_real or not wanted else wanted


def _half_hash(access_token: str) -> str:
    digest = hashlib.sha256(access_token.encode()).digest()[:16]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
