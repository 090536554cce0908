"""Logs: records come back as they were appended, in order, within the limits of a read."""

import asyncio

import pytest

from headrace.primitives.logs import SEAL, Appending, LogMissing, LogSealed, LogSettings, Record, Tip

FOREVER = LogSettings()
WHOLE = {"max_records": 1_000_000, "max_bytes": 1 << 40}


@pytest.fixture
async def logs(engine):
    await engine.logs.open("log", FOREVER)
    return engine.logs


def some(*texts, key="k"):
    return [Appending(key, text.encode()) for text in texts]


def texts(records):
    return [record.data.decode() for record in records]


async def test_a_new_log_is_empty(logs):
    assert await logs.read("log", 0, **WHOLE) == []
    assert await logs.tip("log") == Tip(first=1, last=0, last_appended_at_ms=None, bytes_kept=0)
    assert await logs.seek("log", 0) == 0


async def test_records_come_back_as_they_were(logs, clock):
    appended = [Appending("", b""), Appending("ключ", bytes(range(256))), Appending("k" * 256, b"x" * 70_000)]
    sequences = await logs.append("log", appended)
    at_ms = clock.now_ms()
    assert await logs.read("log", 0, **WHOLE) == [
        Record(sequence, at_ms, record.key, record.data) for sequence, record in zip(sequences, appended, strict=True)
    ]


async def test_sequences_grow_over_appends(logs):
    sequences = []
    for count in (1, 3, 0, 1200, 1):
        sequences += await logs.append("log", some(*["x"] * count))
    assert len(sequences) == 1205
    assert sequences == sorted(set(sequences))
    assert [record.sequence for record in await logs.read("log", 0, **WHOLE)] == sequences


async def test_several_logs_are_appended_to_at_once(logs):
    await logs.open("other", FOREVER)
    await logs.append("other", some("a"))
    outcomes = await logs.append_each([("log", some("x", "y")), ("gone", some("z")), ("other", some("b"))])
    assert isinstance(outcomes[1], LogMissing)
    for log, found, expected in (("log", outcomes[0], ["x", "y"]), ("other", outcomes[2], ["a", "b"])):
        records = await logs.read(log, 0, **WHOLE)
        assert texts(records) == expected
        assert [record.sequence for record in records][-len(found) :] == found


async def test_time_is_when_they_were_appended(logs, clock):
    began_ms = clock.now_ms()
    await logs.append("log", some("a", "b"))
    await clock.advance(1500)
    await logs.append("log", some("c"))
    records = await logs.read("log", 0, **WHOLE)
    assert [record.appended_at_ms - began_ms for record in records] == [0, 0, 1500]
    assert (await logs.tip("log")).last_appended_at_ms == began_ms + 1500


async def test_reading_goes_on_after_a_sequence(logs):
    sequences = await logs.append("log", some(*"abc")) + await logs.append("log", some(*"de"))
    for index, sequence in enumerate(sequences):
        assert texts(await logs.read("log", sequence, **WHOLE)) == list("abcde")[index + 1 :]


async def test_reading_beyond_the_end_gives_nothing(logs):
    [last] = await logs.append("log", some("a"))
    assert await logs.read("log", last, **WHOLE) == []
    assert await logs.read("log", last + 10, **WHOLE) == []
    assert await logs.read("log", 1 << 200, **WHOLE) == []


async def test_reading_before_the_beginning_begins_there(logs):
    await logs.append("log", some("a", "b"))
    assert texts(await logs.read("log", -5, **WHOLE)) == ["a", "b"]


async def test_a_read_stops_at_its_count(logs):
    for batch in ("abc", "def", "g"):
        await logs.append("log", some(*batch))
    for count in range(8):
        assert texts(await logs.read("log", 0, max_records=count, max_bytes=1000)) == list("abcdefg")[:count]
    assert texts(await logs.read("log", 2, max_records=3, max_bytes=1000)) == list("cde")


async def test_a_read_stops_at_its_bytes(logs):
    await logs.append("log", some("aaaa", "bbbb"))
    await logs.append("log", some("cccc"))
    for max_bytes, read in [(4, 1), (5, 1), (9, 1), (10, 2), (14, 2), (15, 3), (100, 3)]:
        assert len(await logs.read("log", 0, max_records=100, max_bytes=max_bytes)) == read, max_bytes


async def test_keys_count_in_bytes(logs):
    await logs.append("log", some("a", "b", key="é€"))
    assert len(await logs.read("log", 0, max_records=100, max_bytes=11)) == 1
    assert len(await logs.read("log", 0, max_records=100, max_bytes=12)) == 2
    assert (await logs.tip("log")).bytes_kept == 12


async def test_the_first_record_is_read_however_large(logs):
    await logs.append("log", [Appending("k", b"x" * 500_000), Appending("k", b"y")])
    assert [record.data[:1] for record in await logs.read("log", 0, max_records=10, max_bytes=0)] == [b"x"]
    assert [record.data[:1] for record in await logs.read("log", 0, max_records=10, max_bytes=1000)] == [b"x"]
    assert [record.data[:1] for record in await logs.read("log", 0, max_records=10, max_bytes=500_003)] == [b"x", b"y"]


async def test_a_small_record_before_a_large_one_comes_alone(logs):
    await logs.append("log", [Appending("k", b"x"), Appending("k", b"y" * 500_000), Appending("k", b"z")])
    assert len(await logs.read("log", 0, max_records=10, max_bytes=1000)) == 1


async def test_ten_mebibytes_in_one_read(logs):
    appended = [Appending(f"key-{number}", bytes([number % 256]) * 10_000) for number in range(1100)]
    for start in range(0, 1100, 300):
        await logs.append("log", appended[start : start + 300])
    records = await logs.read("log", 0, max_records=10_000, max_bytes=10 * 1024 * 1024)
    assert 10 * 1024 * 1024 - 10_010 < sum(len(record.key) + len(record.data) for record in records) <= 10 * 1024 * 1024
    assert [(record.key, record.data) for record in records] == [
        (record.key, record.data) for record in appended[: len(records)]
    ]


async def test_ten_thousand_records_in_one_read(logs):
    for batch in range(20):
        await logs.append("log", some(*(f"{batch}-{number}" for number in range(500))))
    records = await logs.read("log", 250, max_records=9000, max_bytes=1 << 30)
    assert texts(records) == [f"{number // 500}-{number % 500}" for number in range(250, 9250)]


async def test_appends_meanwhile_do_not_disturb_a_read(logs):
    for batch in range(10):
        await logs.append("log", some(*(f"{batch}-{number}" for number in range(1000))))
    reading = asyncio.ensure_future(logs.read("log", 0, **WHOLE))
    for _ in range(20):
        await logs.append("log", some("late"))
    records = await reading
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))
    assert len(records) >= 10_000


async def test_appends_at_once_lie_next_to_each_other(logs):
    batches = await asyncio.gather(*(logs.append("log", some(*[f"w{writer}"] * 7)) for writer in range(30)))
    records = await logs.read("log", 0, **WHOLE)
    for writer, sequences in enumerate(batches):
        assert sequences == list(range(sequences[0], sequences[0] + 7))
        assert {record.data for record in records if record.sequence in sequences} == {b"w%d" % writer}
    assert len(records) == 210


async def test_logs_are_apart(engine, logs):
    await engine.logs.open("other", FOREVER)
    await logs.append("log", some("a"))
    await logs.append("other", some("b", "c"))
    assert texts(await logs.read("log", 0, **WHOLE)) == ["a"]
    assert texts(await logs.read("other", 0, **WHOLE)) == ["b", "c"]


async def test_opening_again_keeps_the_records(logs):
    await logs.append("log", some("a"))
    await logs.open("log", FOREVER)
    assert texts(await logs.read("log", 0, **WHOLE)) == ["a"]


@pytest.mark.parametrize("dropped", [False, True])
async def test_every_call_on_a_missing_log_says_so(logs, dropped):
    if dropped:
        await logs.open("gone", FOREVER)
        await logs.append("gone", some("a"))
        await logs.drop("gone")
    calls = [
        lambda: logs.append("gone", some("a")),
        lambda: logs.append("gone", []),
        lambda: logs.read("gone", 0, **WHOLE),
        lambda: logs.read("gone", 0, max_records=0, max_bytes=0),
        lambda: logs.seek("gone", 0),
        lambda: logs.tip("gone"),
        lambda: logs.trim("gone", 1),
        lambda: logs.wait("gone", 0, wait_ms=1000),
    ]
    for call in calls:
        with pytest.raises(LogMissing):
            await call()


async def test_a_missing_log_disturbs_no_other_writer(logs):
    outcomes = await asyncio.gather(
        logs.append("log", some("a")),
        logs.append("gone", some("b")),
        logs.trim("gone", 1),
        logs.append("log", some("c")),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [list, LogMissing, LogMissing, list]
    assert texts(await logs.read("log", 0, **WHOLE)) == ["a", "c"]


async def test_a_log_opened_again_after_drop_is_empty(logs, clock):
    await logs.append("log", some("a", "b"))
    await logs.drop("log")
    await logs.drop("log")
    await logs.open("log", FOREVER)
    assert await logs.read("log", 0, **WHOLE) == []
    await logs.append("log", some("c"))
    await clock.advance(3_600_000)
    assert texts(await logs.read("log", 0, **WHOLE)) == ["c"]


@pytest.mark.parametrize("at_once", [False, True])
async def test_nothing_is_appended_behind_a_seal(logs, reopen, at_once):
    seal, late = [Appending(SEAL, b"")], [Appending("late", b"x")]
    await logs.append("log", [Appending("a", b"1"), Appending(SEAL[:1], b"2")])
    if at_once:
        outcomes = await asyncio.gather(
            *(logs.append("log", each) for each in (seal, late, seal)), return_exceptions=True
        )
        assert outcomes[0] == [3]
        assert [each.last for each in outcomes[1:]] == [3, 3]
    else:
        assert await logs.append("log", seal) == [3]
    await refused(logs)
    await refused((await reopen()).logs)


async def refused(logs):
    for records in ([Appending("late", b"x")], [Appending(SEAL, b"")], [Appending("big", b"x" * 300_000)]):
        with pytest.raises(LogSealed) as caught:
            await logs.append("log", records)
        assert caught.value.last == 3
    assert (await logs.tip("log")).last == 3


async def test_what_only_looks_like_a_seal_is_none(logs):
    for records in ([Appending("\0E", b"x")], [Appending("ab", b"")], [Appending("", b"\0E")]):
        await logs.append("log", records)
    await logs.append("log", some("a"))


async def test_records_outlive_the_engine(logs, reopen):
    first = await logs.append("log", some("a", "b"))
    before = await logs.tip("log")
    logs = (await reopen()).logs
    assert await logs.tip("log") == before
    assert texts(await logs.read("log", 0, **WHOLE)) == ["a", "b"]
    assert (await logs.append("log", some("c")))[0] > first[-1]


async def test_a_drop_outlives_the_engine(logs, clock, reopen):
    await logs.append("log", some("a"))
    await logs.drop("log")
    logs = (await reopen()).logs
    with pytest.raises(LogMissing):
        await logs.tip("log")
    await clock.advance(60_000)
    await logs.open("log", FOREVER)
    assert await logs.read("log", 0, **WHOLE) == []


async def test_reset_forgets_all_logs(engine, logs):
    await logs.open("other", FOREVER)
    await logs.append("log", some("a"))
    await engine.reset()
    for name in ("log", "other"):
        with pytest.raises(LogMissing):
            await logs.tip(name)
    await logs.open("log", FOREVER)
    assert await logs.read("log", 0, **WHOLE) == []
