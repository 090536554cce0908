"""Logs: whatever is done to a log, it behaves as the simplest list of records does."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.clock import VirtualClock
from headrace.primitives.logs import Appending, LogSettings, Record, Tip

START_MS = 1_700_000_000_000
RECORDS = st.lists(
    st.builds(Appending, st.sampled_from(["", "k", "é"]), st.integers(0, 40).map(lambda size: b"x" * size)), max_size=8
)
PLACES = st.integers(-2, 40)
STEPS = st.one_of(
    st.tuples(st.just("append"), RECORDS),
    st.tuples(st.just("advance"), st.integers(1, 90_000)),
    st.tuples(st.just("trim"), PLACES),
    st.tuples(st.just("configure"), st.sampled_from([None, 1000, 50_000, 100_000])),
    st.tuples(st.just("read"), PLACES, st.integers(0, 10), st.integers(0, 100)),
    st.tuples(st.just("seek"), st.integers(-1000, 200_000)),
    st.tuples(st.just("wait"), PLACES),
    st.tuples(st.just("drop")),
    st.tuples(st.just("reopen")),
)


class Model:
    """A log as a list."""

    def __init__(self, retention_ms):
        self.retention_ms = retention_ms
        self.records = []
        self.last = 0
        self.last_at_ms = None

    def expire(self, now_ms):
        if self.retention_ms is not None:
            self.records = [record for record in self.records if record.appended_at_ms + self.retention_ms > now_ms]

    def append(self, records, now_ms):
        for record in records:
            self.last += 1
            self.last_at_ms = now_ms
            self.records.append(Record(self.last, now_ms, record.key, record.data))

    def trim(self, through):
        self.records = [record for record in self.records if record.sequence > through]

    def read(self, after, max_records, max_bytes):
        found = []
        for record in self.records:
            if record.sequence > after and len(found) < max_records:
                max_bytes -= size(record)
                if max_bytes < 0 and found:
                    break
                found.append(record)
        return found

    def seek(self, at_ms):
        return next((record.sequence - 1 for record in self.records if record.appended_at_ms >= at_ms), self.last)

    def tip(self):
        first = self.records[0].sequence if self.records else self.last + 1
        return Tip(first, self.last, self.last_at_ms, sum(size(record) for record in self.records))


def size(record):
    return len(record.key.encode()) + len(record.data)


class Run:
    """The engine and the model, side by side."""

    def __init__(self, stage, clock):
        self.stage = stage
        self.clock = clock
        self.model = Model(None)

    @property
    def logs(self):
        return self.stage.engine.logs

    async def step(self, name, *arguments):
        self.model.expire(self.clock.now_ms())
        await getattr(self, name)(*arguments)
        self.model.expire(self.clock.now_ms())
        assert await self.logs.tip("log") == self.model.tip()

    async def append(self, records):
        sequences = await self.logs.append("log", records)
        self.model.append(records, self.clock.now_ms())
        assert sequences == list(range(self.model.last - len(records) + 1, self.model.last + 1))

    async def advance(self, duration_ms):
        await self.clock.advance(duration_ms)

    async def trim(self, through):
        await self.logs.trim("log", through)
        self.model.trim(through)

    async def configure(self, retention_ms):
        await self.logs.open("log", LogSettings(retention_ms=retention_ms))
        self.model.retention_ms = retention_ms

    async def read(self, after, max_records, max_bytes):
        found = await self.logs.read("log", after, max_records=max_records, max_bytes=max_bytes)
        assert found == self.model.read(after, max_records, max_bytes)

    async def seek(self, offset_ms):
        assert await self.logs.seek("log", START_MS + offset_ms) == self.model.seek(START_MS + offset_ms)

    async def wait(self, after):
        assert await self.logs.wait("log", after, wait_ms=0) is bool(self.model.read(after, 1, 0))

    async def drop(self):
        await self.logs.drop("log")
        await self.logs.open("log", LogSettings(retention_ms=self.model.retention_ms))
        self.model = Model(self.model.retention_ms)

    async def reopen(self):
        if self.stage.durable:
            await self.stage.reopen()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=30))
def test_it_behaves_as_a_list(build, steps):
    async def run():
        clock = VirtualClock(START_MS)
        stage = build(clock)
        await stage.engine.start()
        await stage.engine.logs.open("log", LogSettings())
        side_by_side = Run(stage, clock)
        for step in steps:
            await side_by_side.step(*step)
        await stage.engine.close()

    asyncio.run(run())
