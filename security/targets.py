"""What was found to attack: of requests that differ in their values alone the first that was answered well."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit

from security.visitors import Visitor

CSRF = "csrfmiddlewaretoken"
# They end the login that scans. Neither has a field.
NEVER = ("/logout/", "/account/log-out-everywhere/", "/static/")

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """`number` is that of wapiti's own note of it."""

    number: int
    method: str
    url: str
    status: int
    query: Pairs = ()
    body: Pairs = field(default=())

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def name(self) -> str:
        return name_of(self.path)

    @property
    def fields(self) -> frozenset[str]:
        """Numbered fields of a list (with0, with1 …) are one field."""
        return frozenset(name.rstrip("0123456789-") for name, _value in (*self.query, *self.body))


def name_of(path: str) -> str:
    """Of the address in the URLs; empty for what is none of ours."""
    from django.urls import Resolver404, resolve

    try:
        return resolve(path).view_name
    except Resolver404:
        return ""


def chosen(requests: Iterable[Request]) -> list[Request]:
    """One of each kind, rather one that was taken: of what is refused nothing is learned. Where another has all of its
    fields and more, it is no kind of its own."""
    ours = [each for each in requests if each.name and not each.path.startswith(NEVER)]
    kept: list[Request] = []
    for each in sorted(ours, key=order):
        if not any(is_within(each, other) for other in kept):
            kept.append(each)
    return kept


def order(request: Request) -> tuple[int, int, int, int]:
    values = len(request.query) + len(request.body)  # a field may have several
    return badness(request.status), -len(request.fields), values, request.number


def is_within(one: Request, other: Request) -> bool:
    is_page = not one.fields and one.method == "GET"
    same = (one.method, one.name) == (other.method, other.name)
    return same and (one.fields == other.fields if is_page else one.fields <= other.fields)


def badness(status: int) -> int:
    return 0 if status < 400 else 1 if status in (409, 422) else 2


@dataclass(frozen=True)
class Target:
    """For sqlmap: fields of one request, or the texts in an address, marked with a star."""

    name: str
    who: str
    path: str
    data: str = ""

    @property
    def method(self) -> str:
        return "POST" if self.data else "GET"

    @property
    def file_name(self) -> str:
        return f"{self.who}-{self.method.lower()}-{self.name}"


def targets(visitor: Visitor, requests: Iterable[Request]) -> Iterator[Target]:
    """Every form and every query, and every text in an address (a number or an UUID in one lets nothing else in)."""
    requests, seen = list(requests), set()
    for each in requests:
        if each.fields - {CSRF}:
            query = f"?{urlencode(each.query)}" if each.query else ""
            name = each.name if (each.name, each.method) not in seen else f"{each.name}-{each.number}"
            seen.add((each.name, each.method))
            yield Target(name, visitor.name, each.path + query, sent(each.body, visitor))
    for name, (path, fields) in visitor.more.items():
        if (name, "POST") not in seen:
            yield Target(name, visitor.name, path, sent([*fields.items(), (CSRF, "")], visitor))
    for each in requests:
        name = f"{each.name}-in-path"
        if (
            each.method == "GET"
            and each.status < 400
            and name not in seen
            and (marked := with_stars(each.path))
        ):
            seen.add(name)
            yield Target(name, visitor.name, marked)


def sent(fields: Iterable[tuple[str, str]], visitor: Visitor) -> str:
    """With the token of this visitor, which stays good: sqlmap need not fetch the page each time."""
    token = visitor.cookies["csrftoken"]
    return urlencode([(name, token if name == CSRF else value) for name, value in fields])


def with_stars(path: str) -> str:
    from django.urls import resolve

    texts = [value for value in resolve(path).captured_kwargs.values() if isinstance(value, str)]
    for text in texts:
        path = path.replace(f"/{quote(text, safe=':')}", f"/{quote(text, safe=':')}*", 1)
    return path if texts else ""
