"""Finding chunks in a log's stream: by the sequence or the time that they hold.

A log's chunks are in order, but between other logs' messages. The server finds the first one from any place on; so a
search probes places, guided by what the probes before said, until nothing is left between two of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from headrace.engines.nats.faults import Unavailable
from headrace.engines.nats.jetstream import JetStream
from headrace.engines.nats.log_chunks import Chunk, chunk, parse
from headrace.engines.nats.log_state import LogState

BEHIND_S: Final = 0.01
BEHIND_ATTEMPTS: Final = 200
"""A replica that was asked may not have yet what the leader confirmed: asked again this often, with that pause."""
GUIDED_PROBES: Final = 12
"""Probes by proportion, before the rest is halved."""

Measure = Callable[[Chunk], int]
"""What the search goes by: grows from chunk to chunk."""


async def newest(jetstream: JetStream, state: LogState) -> None:
    """Bring the state up to the log's newest chunk. Raises StorageError."""
    found = await jetstream.last(state.stream, state.subject)
    if found is not None:
        state.saw(chunk(found))
    state.seen = True


async def newest_for_sure(jetstream: JetStream, state: LogState) -> None:
    """As `newest`, from the stream's leader: for who was told that the end is not where it was seen."""
    found = await jetstream.newest(state.stream, state.subject)
    if found is not None:
        state.saw(parse(found[0], found[2]))
    state.seen = True


async def first_with(jetstream: JetStream, state: LogState, measure: Measure, least: int) -> Chunk | None:
    """The first chunk whose measure is `least` or more; None when the newest seen has less. Raises StorageError.

    The state's end must have been looked for.
    """
    if not state.place:
        return None
    found = await _probe(jetstream, state, state.place)
    if found is None or measure(found) < least:
        return None
    floor = await _probe(jetstream, state, 1)
    if floor is None or measure(floor) >= least:
        return floor
    low, upper, number = floor.place + 1, found.place, 0
    while low < upper:
        number += 1
        probe = _guess(floor, found, measure, least, low, upper) if number < GUIDED_PROBES else (low + upper) // 2
        seen = await _probe(jetstream, state, probe)
        if seen is None or measure(seen) >= least:
            found, upper = seen or found, probe
        else:
            floor, low = seen, seen.place + 1
    return found


def _guess(floor: Chunk, found: Chunk, measure: Measure, least: int, low: int, upper: int) -> int:
    """A place between `low` and `upper`, in proportion to how far `least` is between two chunks."""
    span = max(1, measure(found) - measure(floor))
    part = (least - measure(floor)) / span
    return max(low, min(upper - 1, floor.place + 1 + int((found.place - floor.place - 1) * part)))


async def _probe(jetstream: JetStream, state: LogState, place: int) -> Chunk | None:
    """The log's first chunk from a place on that is not behind the newest one seen."""
    for _ in range(BEHIND_ATTEMPTS):
        found = await jetstream.next(state.stream, state.subject, place)
        if found is not None:
            return chunk(found)
        if state.gone:
            return None
        await asyncio.sleep(BEHIND_S)
    raise Unavailable("A replica of NATS has not caught up yet.")
