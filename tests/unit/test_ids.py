"""Ids are UUIDv7 in the order they were made, by every process its own."""

import os
from uuid import RFC_4122, UUID

from imprest_server.core import ids
from imprest_server.core.ids import uuid7


def test_ids_are_version_7_and_grow() -> None:
    made = [uuid7() for _ in range(3 * ids._IDS_PER_FETCH)]
    assert all(made_id.version == 7 and made_id.variant == RFC_4122 for made_id in made)
    assert made == sorted(set(made))


def test_a_forked_child_makes_ids_of_its_own() -> None:
    """Both stand at the same byte of the same randomness, and nothing but that makes ids of one millisecond differ."""
    uuid7()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, uuid7().bytes)
        os._exit(0)
    os.waitpid(child, 0)
    theirs = UUID(bytes=os.read(reader, 16))
    os.close(reader)
    os.close(writer)
    low_bits = 2**62 - 1  # all random
    assert theirs.int & low_bits != uuid7().int & low_bits


def test_the_successor_carries_over_the_variant() -> None:
    low = UUID("0190163d-8694-7001-bfff-ffffffffffff").int
    assert UUID(int=ids._successor(low)) == UUID("0190163d-8694-7002-8000-000000000000")
