"""The queue's fairness and bounds, and how long a batch waits to fill."""

from __future__ import annotations

import asyncio

import pytest

from imprest_server.core.errors import QueueFull
from imprest_server.posting.waiting import FairQueue, Linger


def filled(**streams: int) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue(limit=1000)
    for stream, count in streams.items():
        for number in range(count):
            queue.put(stream, f"{stream}{number}")
    return queue


def take(queue: FairQueue[str], most: int) -> list[str]:
    return [item for _, item in queue.take(most)]


def test_one_stream_is_first_in_first_out() -> None:
    queue = filled(a=5)
    assert take(queue, 3) == ["a0", "a1", "a2"]
    assert take(queue, 3) == ["a3", "a4"]
    assert len(queue) == 0


def test_streams_share_a_batch_equally() -> None:
    taken = take(filled(a=100, b=100), 10)
    assert sorted(taken) == [f"{stream}{n}" for stream in "ab" for n in range(5)]


def test_what_a_stream_does_not_use_goes_to_the_others() -> None:
    taken = take(filled(a=100, b=2), 10)
    assert sorted(item[0] for item in taken) == ["a"] * 8 + ["b"] * 2


def test_more_streams_than_places_take_turns() -> None:
    queue = filled(a=2, b=2, c=2)
    first, second, third = (take(queue, 2) for _ in range(3))
    assert sorted([*first, *second, *third]) == ["a0", "a1", "b0", "b1", "c0", "c1"]
    assert {item[0] for item in first + second[:1]} == {"a", "b", "c"}


def test_a_full_queue_refuses_but_takes_back() -> None:
    queue: FairQueue[int] = FairQueue(limit=2)
    queue.put("a", 1)
    queue.put("a", 2)
    with pytest.raises(QueueFull):
        queue.put("b", 3)
    ((stream, item),) = queue.take(1)
    queue.put("a", 3)
    queue.put_back(stream, item)
    assert [item for _, item in queue.take(9)] == [1, 2, 3]


def test_bulk_leaves_room_for_calls() -> None:
    queue: FairQueue[int] = FairQueue(limit=4)
    for number in range(2):
        queue.put("bulk", number, bulk=True)
    with pytest.raises(QueueFull):
        queue.put("bulk", 2, bulk=True)
    queue.put("calls", 3)
    queue.put("calls", 4)
    with pytest.raises(QueueFull):
        queue.put("calls", 5)


async def test_holds_returns_when_enough_wait() -> None:
    queue: FairQueue[int] = FairQueue(limit=10)
    waiting = asyncio.create_task(queue.holds(2))
    await asyncio.sleep(0)
    queue.put("a", 1)
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.put("a", 2)
    await waiting


async def test_holds_gives_up_and_can_be_woken() -> None:
    queue: FairQueue[int] = FairQueue(limit=10)
    await queue.holds(2, timeout_s=0.001)
    waiting = asyncio.create_task(queue.holds(2))
    await asyncio.sleep(0)
    queue.wake()
    await waiting


def test_a_lone_caller_never_waits() -> None:
    linger = Linger(1.0)
    assert linger.target == 1
    linger.note(1)
    assert linger.target == 1


def test_most_of_a_group_is_waited_for() -> None:
    linger = Linger(1.0)
    linger.note(100)
    assert linger.target == 90
    linger.note(10)
    assert linger.target == 9
