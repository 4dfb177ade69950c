"""Logs as one JSON object a line. Only named fields are written: no personal data slips in. Should one all the same,
card numbers, NRIC and FIN are masked."""

import datetime as dt
import json
import logging
import re
from contextvars import ContextVar

from clinic_booking import pan

request_id: ContextVar[str] = ContextVar("request_id", default="")
FIELDS = (
    "event",
    "subscriber",
    "booking",
    "payment",
    "hold",
    "status",
    "path",
    "method",
    "ms",
    "count",
    "clinic",
    "reason",
    "code",
)
IDENTITY_NUMBER = re.compile(r"(?<![a-z0-9])[stfgm]\d{4}(\d{3}[a-z])(?![a-z0-9])", re.IGNORECASE | re.ASCII)


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if identifier := request_id.get():
            line["request_id"] = identifier
        line |= {name: str(record.__dict__[name]) for name in FIELDS if name in record.__dict__}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return IDENTITY_NUMBER.sub(r"[id …\1]", pan.mask(json.dumps(line, ensure_ascii=False)))
