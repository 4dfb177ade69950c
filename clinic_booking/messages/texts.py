"""What a message says: the text that staff wrote, else the one that is shipped. Facts are named in braces: {date}."""

import logging
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.template import TemplateDoesNotExist
from django.template.loader import get_template, render_to_string
from django.utils import timezone
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from clinic_booking.messages.kinds import Channel, Kind
from clinic_booking.models import MessageTemplate

logger = logging.getLogger(__name__)

ENGLISH = "en"
Facts = Mapping[str, Any]
ADDRESS = re.compile(r"https?://[\w/?&=;:%.#~+-]*[\w/]", re.ASCII)
PLACE = re.compile(r"\{([a-z_]+)\}|([{}])")


class Text(NamedTuple):
    """Subject and HTML are of e-mails only."""

    body: str
    subject: str = ""
    html: str = ""


class MissingFact(Exception):
    """The text names something that there is not."""


def fill(text: str, facts: Facts) -> str:
    """Put the facts into their places. Nothing else is understood, so whoever writes a text can reach nothing else."""

    def fact(place: re.Match[str]) -> str:
        value = facts.get(place[1])
        if not isinstance(value, str):
            raise MissingFact(place[0])
        return value

    return PLACE.sub(fact, text)


def unknown_places(text: str, allowed: tuple[str, ...]) -> list[str]:
    """What stands in braces and is no fact, and braces that stand alone."""
    return sorted({place[0] for place in PLACE.finditer(text) if place[1] not in allowed})


def compose(*, kind: Kind, channel: str, language: str, facts: Facts) -> Text:
    for own in MessageTemplate.objects.filter(kind=kind.name, channel=channel, language=language):
        try:
            return _filled(channel, own.subject, own.body, facts)
        except MissingFact as missing:
            _flag(own, str(missing))
    return _shipped(kind, channel, language, facts)


def _flag(own: MessageTemplate, missing: str) -> None:
    logger.warning("broken message template", extra={"template": own.pk, "missing": missing})
    MessageTemplate.objects.filter(pk=own.pk).update(problem=missing[:80], problem_at=timezone.now())


def _shipped(kind: Kind, channel: str, language: str, facts: Facts) -> Text:
    if channel != Channel.EMAIL:
        return Text(fill(_short(kind, channel, language), facts).strip())
    if language != ENGLISH and (source := _source(f"messages/{language}/{kind.name}.email.txt")):
        subject, body = source.split("\n", 1)
        return _filled(channel, subject, body.strip(), facts)
    subject = fill(str(kind.subject), facts)
    context = {**facts, "subject": subject, "language": language}
    text, html = (render_to_string(f"email/{kind.name}.{form}", context) for form in ("txt", "html"))
    return Text(text, _line(subject), html)


def _short(kind: Kind, channel: str, language: str) -> str:
    """The nearest there is; in the end a sentence that is true of any news."""
    for tongue in dict.fromkeys([language, ENGLISH]):
        for name in (f"{kind.name}.{channel}", kind.name):
            if source := _source(f"messages/{tongue}/{name}.txt"):
                return source
    return _source(f"messages/{ENGLISH}/_any{'_link' if 'link' in kind.facts else ''}.txt")


def _source(name: str) -> str:
    try:
        # The file as it is: it is filled in as what staff write is, not rendered.
        source: str = get_template(name).template.source  # type: ignore[attr-defined]
    except TemplateDoesNotExist:
        return ""
    return source


def _filled(channel: str, subject: str, body: str, facts: Facts) -> Text:
    text = fill(body, facts)
    if channel != Channel.EMAIL:
        return Text(text)
    subject = _line(fill(subject, facts))
    html = render_to_string("email/_own.html", {**facts, "subject": subject, "text": _with_links(text)})
    return Text(text, subject, html)


def _with_links(text: str) -> SafeString:
    """Django's `urlize` looks for spaces before an address: Chinese has none."""
    escaped = ADDRESS.sub(r'<a href="\g<0>" style="color:#0b6e74">\g<0></a>', escape(text))
    return mark_safe(escaped)  # noqa: S308  (escaped, and an address holds no quotes)


def _line(subject: str) -> str:
    """A line break in it would begin another header."""
    return " ".join(subject.split())
