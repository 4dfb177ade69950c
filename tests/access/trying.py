"""What comes of an address for each visitor, in one letter."""

from contextlib import contextmanager

from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests.access.world import SENT, VISITORS

LOGIN, HIDDEN, REFUSED, IN, NOT_SO = ">", ".", "x", "+", "-"
TO_LOGIN = ("/login/", "/step-up/", "/admin/login/")


def addresses():
    """Name and the names of the parts of each address that is not Django's admin."""
    return {name: wanted for name, wanted in _walk(get_resolver()) if not name.startswith("admin:")}


def _walk(resolver, spaces=(), parts=()):
    for each in resolver.url_patterns:
        wanted = {*parts, *each.pattern.converters}
        if isinstance(each, URLResolver):
            inner = (*spaces, each.namespace) if each.namespace else spaces
            yield from _walk(each, inner, wanted)
        elif isinstance(each, URLPattern) and each.name:
            yield ":".join((*spaces, each.name)), wanted - {*each.default_args}


def outcome(answer):
    """`+` in: also where what was sent is refused as it stands; `-` not by this method."""
    if answer.status_code in (301, 302, 303) and answer["Location"].startswith(TO_LOGIN):
        return LOGIN
    return {401: LOGIN, 403: REFUSED, 404: HIDDEN, 405: NOT_SO}.get(answer.status_code, IN)


@contextmanager
def undone():
    """Nothing stays, also of what insists on its own transaction."""
    block = transaction.atomic()
    block._from_testcase = True
    with block:
        yield
        transaction.set_rollback(True)


def row(world, name, wanted, method):
    address = reverse(name, kwargs=world.values(name, wanted))
    sent = SENT.get(name) if method == "post" else None
    return "".join(_try(world, who, address, method, sent) for who in VISITORS)


def _try(world, who, address, method, sent):
    client = world.clients[who]
    with undone():
        answer = getattr(client, method)(address, sent)
        assert answer.status_code < 500, (who, method, address, answer.status_code)
        said = outcome(answer)
    # What ends all sessions is undone in the database, but not in the session of the client.
    if not world.is_still_in(client, who) or address == reverse("log_out_everywhere"):
        world.log_in(client, who)
    return said
