"""How shards are made, split, merged and planned for."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.services.kinesis import limits, topology
from headrace.services.kinesis.records import Plan, Status, StreamRecord
from headrace.services.kinesis.rules import HASH_KEYS, hash_bytes

NOW = 1_700_000_000_000


def stream(shards: int = 1, **changes) -> StreamRecord:
    record = StreamRecord(
        name="s",
        stream_id="id",
        created_at_ms=NOW,
        status=Status.ACTIVE,
        until_ms=NOW,
        shards=topology.first_shards(shards, NOW),
        next_shard=shards,
    )
    return msgspec.structs.replace(record, **changes)


def planned(record: StreamRecord, *steps, at_ms: int = NOW) -> StreamRecord:
    return topology.carry_out(msgspec.structs.replace(record, plan=Plan(list(steps))), at_ms)


def ranges(record: StreamRecord) -> list[tuple[int, int]]:
    shards = topology.open_shards(record)
    return [(int.from_bytes(shard.first_hash), int.from_bytes(shard.last_hash)) for shard in shards]


def assert_whole(record: StreamRecord) -> None:
    """The open shards cover all hash keys, each once."""
    found = ranges(record)
    assert found[0][0] == 0
    assert found[-1][1] == HASH_KEYS - 1
    assert all(last + 1 == first for (_, last), (first, _) in itertools.pairwise(found))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 1000])
def test_a_new_stream_s_shards_cover_all_hash_keys(count):
    record = stream(count)
    assert_whole(record)
    assert [shard.number for shard in record.shards] == list(range(count))
    widths = [last - first for first, last in ranges(record)]
    assert max(widths) - min(widths) <= count


def test_a_split_closes_the_parent():
    record = planned(stream(), (0, hash_bytes(1 << 127)), at_ms=NOW + 5)
    parent, low, high = record.shards
    assert (parent.closed_at_ms, parent.ending) == (NOW + 5, -1)
    assert ranges(record) == [(0, (1 << 127) - 1), (1 << 127, HASH_KEYS - 1)]
    assert [(each.number, each.parent, each.adjacent) for each in (low, high)] == [(1, 0, -1), (2, 0, -1)]
    assert low.epoch_s == high.epoch_s == parent.epoch_s + 1
    assert (record.plan, record.next_shard) == (None, 3)
    assert topology.closing(record) == [0]


def test_a_merge_names_both_parents():
    record = planned(stream(2), (1, 0), at_ms=NOW + 5_000)
    child = record.shards[2]
    assert (child.parent, child.adjacent, child.epoch_s) == (1, 0, NOW // 1000 + 5)
    assert topology.closing(record) == [0, 1]
    assert_whole(record)


def test_many_reshardings_in_one_second_keep_children_later_than_parents():
    record = stream()
    for _ in range(5):
        newest = topology.open_shards(record)[-1]
        record = planned(record, (newest.number, topology.halves(newest)))
    shards = {shard.number: shard for shard in record.shards}
    assert all(shard.epoch_s > shards[shard.parent].epoch_s for shard in record.shards if shard.parent >= 0)


@given(st.lists(st.integers(1, HASH_KEYS - 1), max_size=12, unique=True), st.data())
def test_uniform_scaling_from_whatever_there_is(cuts, data):
    """From any shards to any permitted count: equal ranges, everything covered, ends of short-lived shards known."""
    record = stream()
    for cut in cuts:
        holder = next(s for s in topology.open_shards(record) if s.first_hash <= hash_bytes(cut) <= s.last_hash)
        if holder.first_hash < hash_bytes(cut):
            record = planned(record, (holder.number, hash_bytes(cut)))
    record = topology.ended(record, dict.fromkeys(topology.closing(record), 3))
    before = topology.open_shards(record)
    count = data.draw(st.integers(max(1, len(before) // 2), 2 * len(before)))
    plan = topology.uniform_plan(record, count)
    after = planned(record, *plan.steps)
    assert_whole(after)
    assert [shard.first_hash for shard in topology.open_shards(after)] == topology.uniform_bounds(count)
    assert set(topology.closing(after)) <= {shard.number for shard in before}
    shards = {shard.number: shard for shard in after.shards}
    assert sorted(shards) == list(range(after.next_shard))
    for shard in after.shards:
        for parent in {shard.parent, shard.adjacent} - {-1}:
            assert shards[parent].closed_at_ms
            assert shards[parent].epoch_s < shard.epoch_s


@pytest.mark.parametrize(("before", "after", "steps"), [(2, 4, 2), (4, 2, 2), (3, 3, 0), (64, 128, 64)])
def test_doubling_splits_and_halving_merges_each_shard_once(before, after, steps):
    assert len(topology.uniform_plan(stream(before), after).steps) == steps


def test_neighbours():
    one, two, three = stream(3).shards
    assert topology.adjacent(one, two)
    assert topology.adjacent(two, one)
    assert not topology.adjacent(one, three)
    assert not topology.adjacent(one, one)


def test_what_is_due():
    record = stream(2)
    assert topology.due_ms(record) == topology.NEVER_MS
    assert topology.due_ms(msgspec.structs.replace(record, plan=Plan([(0, 1)]), until_ms=NOW + 7)) == NOW + 7
    assert topology.due_ms(msgspec.structs.replace(record, status=Status.DELETING, until_ms=NOW + 9)) == NOW + 9
    merged = planned(record, (0, 1), at_ms=NOW + 5)
    assert topology.due_ms(merged) == NOW + 5, "the ends of closed shards are to be found out at once"
    ended = topology.ended(merged, {0: 10, 1: 20})
    assert [shard.ending for shard in ended.shards] == [10, 20, -1]
    assert topology.due_ms(ended) == NOW + 5 + 24 * limits.HOUR_MS
    cooling = msgspec.structs.replace(record, on_demand=True, cool_at_ms=NOW + 3)
    assert topology.due_ms(cooling) == NOW + 3
    assert topology.due_ms(msgspec.structs.replace(cooling, on_demand=False)) == topology.NEVER_MS


def test_closed_shards_go_when_their_records_have_expired():
    record = topology.ended(planned(stream(2), (0, 1), at_ms=NOW + 5), {0: 1, 1: 1})
    gone_ms = NOW + 5 + 24 * limits.HOUR_MS
    assert topology.expired(record, gone_ms - 1) == []
    assert topology.expired(record, gone_ms) == [0, 1]
    assert [shard.number for shard in topology.without(record, [0, 1]).shards] == [2]


def test_an_end_that_is_known_stays():
    record = topology.ended(planned(stream(2), (0, 1)), {0: 1, 1: 1})
    assert topology.ended(record, {0: 9}) == record
