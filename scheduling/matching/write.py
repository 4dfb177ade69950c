"""From a plan to bookings, and the reasons of what has no time."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from django.db import connection, transaction

from clinic_booking.events import News, publish_all
from clinic_booking.models import User
from scheduling import booking
from scheduling.locks import database_now
from scheduling.matching import board as boards
from scheduling.matching.board import Board
from scheduling.matching.demand import Backlog, Stretch
from scheduling.matching.reasons import Explanation, Names
from scheduling.models import Booking, Clinic, Practitioner, SessionTicket

# How long before a visit it may be planned at the latest.
LEAD = dt.timedelta(hours=2)
BATCH = 100

# A request is planned by one at a time: from here to the end of the transaction nobody else places its sessions.
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(%s, id) FROM unnest(%s::int[]) AS id ORDER BY id"
ADVISORY = 7_031
DATES = """
SELECT t.request_id, t.id, floor(extract(epoch FROM b.starts_at) / 60)::bigint
FROM scheduling_sessionticket t JOIN scheduling_booking b ON b.session_id = t.id
WHERE t.request_id = ANY(%s) AND b.status NOT IN ('cancelled', 'noshow')
"""
LAST_DAY = "SELECT (max(starts_at) AT TIME ZONE 'UTC')::date FROM scheduling_slot WHERE clinic_id = ANY(%s)"


@dataclass
class Written:
    booked: list[Booking] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)


def load_board(backlog: Backlog, clinic_ids: Collection[int], now: dt.datetime) -> Board:
    requests = backlog.requests.values()
    return boards.load(
        services=list({request.service_id: request.service for request in requests}.values()),
        patients={request.patient_id for request in requests},
        clinics=clinic_ids,
        first=now + LEAD,
    )


def write(*, backlog: Backlog, places: Sequence[tuple[int, booking.Place]], by: User | None) -> Written:
    """Book the places, each with its request: one transaction. Where the request's dates changed since they were read,
    the gaps that were planned are wrong: all its sessions are lost and planned anew.
    """
    with transaction.atomic(durable=True):
        ids = sorted({request_id for request_id, _place in places})
        with connection.cursor() as cursor:
            cursor.execute(ONE_AT_A_TIME, [ADVISORY, ids])
            cursor.execute(DATES, [ids])
            known = _grouped(cursor.fetchall())
        stale = {pk for pk in ids if known.get(pk, set()) != backlog.booked.get(pk, set())}
        good = [place for request_id, place in places if request_id not in stale]
        placed = booking.place_sessions(places=good, by=by)
        _tell("request.matched", placed.booked)
    lost = {session_id for session_id, _error in placed.lost}
    return Written(placed.booked, lost | {p.session_id for request_id, p in places if request_id in stale})


def _grouped(rows: Iterable[tuple[int, int, int]]) -> dict[int, set[tuple[int, int]]]:
    found: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for request_id, session_id, begin in rows:
        found[request_id].add((session_id, begin))
    return found


def _tell(topic: str, bookings: Iterable[Booking]) -> None:
    by_request: dict[int, list[Booking]] = defaultdict(list)
    for made in bookings:
        by_request[made.session.request_id].append(made)
    publish_all(
        News(
            topic,
            f"request:{pk}",
            {
                "request": pk,
                "sessions": [made.session_id for made in of_request],
                "bookings": [made.pk for made in of_request],
                "count": len(of_request),
            },
            of_request[0].clinic_id,
        )
        for pk, of_request in by_request.items()
    )


def explain(board: Board, backlog: Backlog, clinic_ids: Collection[int]) -> dict[int, str]:
    """Of each session without a time the reason, in words."""
    lacking = [s for s in backlog.stretches if any(session not in board.kept for session in s.sessions)]
    if not lacking:
        return {}
    names, texts = _names(clinic_ids, board), dict[int, str]()
    for stretch in lacking:
        request = backlog.requests[stretch.request_id]
        numbers = {session.pk: session.number for session in request.sessions.all()}
        texts |= Explanation(board, names, stretch, request).texts(numbers)
    return texts


def _names(clinic_ids: Collection[int], board: Board) -> Names:
    with connection.cursor() as cursor:
        cursor.execute(LAST_DAY, [list(clinic_ids)])
        last = cursor.fetchone()[0]
    return Names(
        dict(Practitioner.objects.values_list("pk", "name")),
        dict(Clinic.objects.values_list("pk", "name")),
        last.toordinal() if last else board.today,
    )


def write_reasons(backlog: Backlog, texts: dict[int, str]) -> list[SessionTicket]:
    """On sessions that are still planned. `request.unmatched` tells of requests of which something new is said."""
    found: list[SessionTicket] = []
    with transaction.atomic(durable=True):
        now = database_now()
        news: dict[int, list[int]] = defaultdict(list)
        sessions = SessionTicket.objects.in_bulk(list(texts))
        for pk in sorted(sessions):
            session, text = sessions[pk], texts[pk]
            planned = SessionTicket.objects.filter(pk=pk, status=SessionTicket.Status.PLANNED)
            if not planned.update(unplaced_reason=text, tried_at=now):
                continue
            if session.unplaced_reason != text:
                news[session.request_id].append(pk)
            session.unplaced_reason, session.tried_at = text, now
            found.append(session)
        publish_all(
            News(
                "request.unmatched",
                f"request:{pk}",
                {"request": pk, "sessions": ids, "count": len(ids)},
                None,
            )
            for pk, ids in news.items()
        )
    return found


def clinics_of(stretches: Iterable[Stretch], active: Collection[int]) -> list[int]:
    """Where the stretches may be, of the active clinics."""
    found: set[int] = set()
    for stretch in stretches:
        found |= set(active) if stretch.terms.clinics is None else stretch.terms.clinics & set(active)
    return sorted(found)
