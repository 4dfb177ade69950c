"""Expected waiting times: the simulation, and what it is fed with."""

import datetime as dt
import math

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from scheduling.waiting import Desk, Expected, at_work, measured, minutes_for, simulate
from tests import factories

ANN, BEN = 1, 2
minutes = st.floats(0, 240)
people = st.lists(st.sampled_from([ANN, BEN]), min_size=1, max_size=2, unique=True)
queues = st.lists(st.builds(Expected, people, minutes, minutes | st.just(math.inf)), max_size=8)
appointments = st.lists(st.builds(Expected, st.just([ANN]), minutes, minutes), max_size=4)
desks = st.builds(
    lambda ann, ben, hers, his: Desk({ANN: ann, BEN: ben}, {ANN: hers, BEN: his}),
    st.floats(-30, 120),
    st.floats(-30, 120),
    appointments,
    appointments,
)


def test_one_after_the_other():
    queue = [Expected([ANN], 10), Expected([ANN], 20), Expected([BEN], 5), Expected([ANN], 5)]
    assert simulate(queue, Desk({ANN: 3, BEN: 0})) == [3, 13, 0, 33]


def test_whoever_is_free_first_serves():
    queue = [Expected([ANN, BEN], 10)] * 4
    assert simulate(queue, Desk({ANN: 0, BEN: 4})) == [0, 4, 10, 14]


def test_appointment_goes_first_when_its_time_has_come():
    desk = Desk({ANN: 0}, {ANN: [Expected([ANN], 20, due=15)]})
    assert simulate([Expected([ANN], 10)] * 3, desk) == [0, 10, 40]


def test_later_appointment_goes_before_nobody_who_was_due():
    desk = Desk({ANN: 20}, {ANN: [Expected([ANN], 20, due=15)]})
    assert simulate([Expected([ANN], 10, due=5), Expected([ANN], 10)], desk) == [20, 50]


@given(queues, desks)
def test_waits_are_never_negative_and_grow_with_the_place(queue, desk):
    waits = simulate(queue, desk)
    assert len(waits) == len(queue)
    assert all(wait >= 0 for wait in waits)
    for who in (ANN, BEN):
        own = [wait for wait, person in zip(waits, queue, strict=True) if list(person.practitioners) == [who]]
        assert own == sorted(own)


@given(queues, desks, st.builds(Expected, people, minutes))
def test_who_comes_last_delays_nobody(queue, desk, last):
    assert simulate([*queue, last], desk)[:-1] == simulate(queue, desk)


@given(st.lists(minutes, min_size=1, max_size=8), desks)
def test_who_leaves_delays_nobody(lengths, desk):
    queue = [Expected([ANN], length) for length in lengths]
    for gone in range(len(queue)):
        before = simulate(queue, desk)
        after = simulate(queue[:gone] + queue[gone + 1 :], desk)
        assert all(a <= b for a, b in zip(after, before[:gone] + before[gone + 1 :], strict=True))


@pytest.mark.django_db
def test_durations_are_the_median_of_enough_visits(clinic, practitioner, service):
    now = timezone.now()
    for days, took in ((1, 8), (2, 12), (3, 90), (200, 1), (4, 0)):
        factories.BookingFactory(
            clinic=clinic, practitioner=practitioner, service=service, status="fulfilled",
            starts_at=now - dt.timedelta(days), arrived_at=now - dt.timedelta(days),
            started_at=now - dt.timedelta(days), finished_at=now - dt.timedelta(days, minutes=-took),
        )  # fmt: skip
    factories.BookingFactory(clinic=clinic, service=service, status="fulfilled")
    assert measured(clinic) == {(practitioner.pk, service.pk): 12.0}
    assert minutes_for(measured(clinic), [practitioner.pk], service.pk, 20) == 12
    assert minutes_for(measured(clinic), [practitioner.pk, 999], service.pk, 20) == 16
    assert minutes_for({}, [], service.pk, 20) == 20


@pytest.mark.django_db
def test_who_works_in_the_rest_of_the_day(clinic, slots, practitioner):
    assert at_work(clinic, slots[0].starts_at) == {practitioner.pk: 0}
    assert at_work(clinic, slots[0].starts_at - dt.timedelta(minutes=30)) == {practitioner.pk: 30}
    assert at_work(clinic, slots[-1].ends_at) == {}
