"""Stripe's request encoding, and the parameters the engine understands.

A parameter that is not listed is refused, so that nothing passes here by being ignored.
`tests/billing/test_stripe_double.py` checks that each listed one exists in the pinned library.
"""

import re
from typing import Any
from urllib.parse import parse_qsl

Form = dict[str, Any]


class ApiError(Exception):
    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        param: str = "",
        kind: str = "invalid_request_error",
        saved: bool = True,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.saved = saved
        fields = {"message": message, "type": kind, "code": code, "param": param, **extra}
        self.body = {"error": {name: value for name, value in fields.items() if value not in ("", None)}}


CREATED = {"gt": int, "gte": int, "lt": int, "lte": int}
PAGE = {"limit": int, "starting_after": str, "ending_before": str}
PARAMETERS: dict[str, Form] = {
    "payment_intents.create": {
        "amount": int,
        "currency": str,
        "allowed_payment_method_types": list,
        "payment_method_options": {"card": {"capture_method": str}},
        "metadata": dict,
        "description": str,
        "statement_descriptor_suffix": str,
    },
    "payment_intents.confirm": {"confirmation_token": str, "return_url": str},
    "payment_intents.capture": {"amount_to_capture": int},
    "payment_intents.cancel": {"cancellation_reason": str},
    "payment_intents.retrieve": {"client_secret": str},
    "payment_intents.list": {**PAGE, "created": CREATED},
    "refunds.create": {"payment_intent": str, "amount": int, "reason": str, "metadata": dict},
    "refunds.retrieve": {},
    "refunds.list": {**PAGE, "created": CREATED, "payment_intent": str},
    "events.retrieve": {},
    "events.list": {**PAGE, "created": CREATED, "delivery_success": bool, "type": str, "types": list},
}


def decode(encoded: str) -> Form:
    """`a[b][c]=1&d[0]=x` as nested dictionaries; lists stay dictionaries until `checked` knows the type."""
    form: Form = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        *parents, last = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name) or [name]
        place = form
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ApiError(400, f"Invalid object: {parent}", param=parent, saved=False)
        place[last or str(len(place))] = value
    return form


def checked(form: Form, allowed: Form, prefix: str = "") -> Form:
    """The form with its types, or the error Stripe gives for a parameter that does not belong."""
    result: Form = {}
    for name, value in form.items():
        path = f"{prefix}[{name}]" if prefix else name
        if name not in allowed:
            raise unknown(path)
        result[name] = converted(path, value, allowed[name])
    return result


def unknown(path: str) -> ApiError:
    if path.startswith("payment_method_types"):
        return ApiError(
            400,
            "The `payment_method_types` parameter is no longer supported in this API version."
            " Use `allowed_payment_method_types` instead.",
            code="payment_method_types_no_longer_supported",
            param="payment_method_types",
            saved=False,
        )
    message = f"Received unknown parameter: {path}"
    return ApiError(400, message, code="parameter_unknown", param=path, saved=False)


def converted(path: str, value: Any, wanted: Any) -> Any:
    if isinstance(wanted, dict):
        if isinstance(value, dict):
            return checked(value, wanted, path)
        if wanted is CREATED:
            at = converted(path, value, int)
            return {"gte": at, "lte": at}
        raise ApiError(400, f"Invalid object: {path}", param=path, saved=False)
    if wanted in (list, dict):
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise ApiError(400, f"Invalid {wanted.__name__}: {path}", param=path, saved=False)
        return list(value.values()) if wanted is list else value
    if not isinstance(value, str):
        raise ApiError(400, f"Invalid string: {path}", param=path, saved=False)
    if wanted is int:
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise ApiError(
                400, f"Invalid integer: {value}", code="parameter_invalid_integer", param=path, saved=False
            )
        return int(value)
    if wanted is bool:
        if value.lower() not in ("true", "false"):
            raise ApiError(400, f"Invalid boolean: {value}", param=path, saved=False)
        return value.lower() == "true"
    if not value:
        raise ApiError(
            400,
            f"You passed an empty string for '{path}'.",
            code="parameter_invalid_empty",
            param=path,
            saved=False,
        )
    return value


def required(form: Form, name: str) -> Any:
    if name not in form:
        raise ApiError(
            400, f"Missing required param: {name}.", code="parameter_missing", param=name, saved=False
        )
    return form[name]
