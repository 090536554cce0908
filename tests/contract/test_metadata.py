"""Metadata: records under keys, compare-and-set, all or none, listing by prefix."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.clock import VirtualClock
from headrace.primitives.metadata import Conflict, Entry, Write


async def keys_under(metadata, prefix, **page):
    return [entry.key for entry in await metadata.list(prefix, **page)]


async def test_what_was_put_is_got(engine):
    revision = await engine.metadata.put("a/b", b"\x00\xff value")
    assert await engine.metadata.get("a/b") == Entry(key="a/b", value=b"\x00\xff value", revision=revision)


async def test_an_unknown_key_is_none(engine):
    await engine.metadata.put("a/b", b"1")
    assert await engine.metadata.get("a") is None
    assert await engine.metadata.get("a/b/") is None
    assert await engine.metadata.get("A/B") is None


async def test_values_may_be_empty_and_large(engine):
    large = bytes(range(256)) * 8192
    await engine.metadata.put("empty", b"")
    await engine.metadata.put("large", large)
    assert (await engine.metadata.get("empty")).value == b""
    assert (await engine.metadata.get("large")).value == large


async def test_revisions_grow_over_the_whole_store(engine):
    revisions = [await engine.metadata.put(key, b"") for key in ("a", "b", "a", "c", "a")]
    assert revisions == sorted(set(revisions))
    assert revisions[0] > 0


async def test_a_deleted_key_is_gone_and_its_revision_does_not_return(engine):
    first = await engine.metadata.put("k", b"1")
    await engine.metadata.delete("k")
    assert await engine.metadata.get("k") is None
    assert await engine.metadata.put("k", b"2") > first


async def test_deleting_what_is_not_there_is_harmless(engine):
    await engine.metadata.delete("never")
    await engine.metadata.delete("never", expected=0)
    with pytest.raises(Conflict):
        await engine.metadata.delete("never", expected=1)


async def test_put_if_absent(engine):
    await engine.metadata.put("k", b"first", expected=0)
    with pytest.raises(Conflict):
        await engine.metadata.put("k", b"second", expected=0)
    assert (await engine.metadata.get("k")).value == b"first"


async def test_put_if_unchanged(engine):
    old = await engine.metadata.put("k", b"1")
    new = await engine.metadata.put("k", b"2", expected=old)
    with pytest.raises(Conflict):
        await engine.metadata.put("k", b"3", expected=old)
    with pytest.raises(Conflict):
        await engine.metadata.put("missing", b"3", expected=new)
    assert (await engine.metadata.get("k")).value == b"2"
    assert await engine.metadata.get("missing") is None


async def test_delete_if_unchanged(engine):
    old = await engine.metadata.put("k", b"1")
    new = await engine.metadata.put("k", b"2")
    with pytest.raises(Conflict):
        await engine.metadata.delete("k", expected=old)
    assert (await engine.metadata.get("k")).revision == new
    await engine.metadata.delete("k", expected=new)
    assert await engine.metadata.get("k") is None


async def test_of_writers_at_once_one_wins(engine):
    puts = (engine.metadata.put("k", b"%d" % writer, expected=0) for writer in range(20))
    outcomes = await asyncio.gather(*puts, return_exceptions=True)
    assert [isinstance(outcome, Conflict) for outcome in outcomes].count(False) == 1


async def test_a_conflict_disturbs_no_other_writer(engine):
    await engine.metadata.put("taken", b"")
    outcomes = await asyncio.gather(
        engine.metadata.put("before", b""),
        engine.metadata.put("taken", b"", expected=0),
        engine.metadata.put("after", b""),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [int, Conflict, int]
    assert await keys_under(engine.metadata, "") == ["after", "before", "taken"]


async def test_a_count_kept_by_compare_and_set_is_exact(engine):
    await engine.metadata.put("count", b"0")

    async def increase():
        while True:
            entry = await engine.metadata.get("count")
            try:
                await engine.metadata.put("count", b"%d" % (int(entry.value) + 1), expected=entry.revision)
            except Conflict:
                continue
            return

    await asyncio.gather(*(increase() for _ in range(25)))
    assert (await engine.metadata.get("count")).value == b"25"


async def test_apply_makes_all_changes(engine):
    revision = await engine.metadata.put("old", b"1")
    await engine.metadata.apply(
        [
            Write("new", b"2", expected=0),
            Write("old", None, expected=revision),
            Write("other", b"3"),
            Write("never", None),
        ]
    )
    entries = await engine.metadata.list("")
    assert [(entry.key, entry.value) for entry in entries] == [("new", b"2"), ("other", b"3")]
    assert len({entry.revision for entry in entries}) == 2


async def test_apply_of_nothing_does_nothing(engine):
    await engine.metadata.apply([])
    assert await engine.metadata.list("") == []


async def test_apply_makes_none_when_one_conflicts(engine):
    revision = await engine.metadata.put("kept", b"1")
    with pytest.raises(Conflict):
        await engine.metadata.apply(
            [Write("first", b"x"), Write("kept", None), Write("kept", b"y", expected=revision + 1)]
        )
    assert await engine.metadata.list("") == [Entry(key="kept", value=b"1", revision=revision)]


async def test_apply_compares_with_what_was_stored_before_it(engine):
    revision = await engine.metadata.put("k", b"1")
    await engine.metadata.apply([Write("k", b"2", expected=revision), Write("k", b"3", expected=revision)])
    assert (await engine.metadata.get("k")).value == b"3"


async def test_list_is_in_key_order_and_keeps_to_the_prefix(engine):
    for key in ("q/b", "q/a", "q", "q/", "q0", "p/z", "q/é", "q/a/b", "Q/a", "q/\U0010ffff", "q/ab"):
        await engine.metadata.put(key, key.encode())
    assert await keys_under(engine.metadata, "q/") == ["q/", "q/a", "q/a/b", "q/ab", "q/b", "q/é", "q/\U0010ffff"]
    assert await keys_under(engine.metadata, "q/a") == ["q/a", "q/a/b", "q/ab"]
    assert await keys_under(engine.metadata, "r") == []


async def test_wildcards_mean_nothing(engine):
    for key in ("a%b", "axb", "a_b", "a*b"):
        await engine.metadata.put(key, b"")
    assert await keys_under(engine.metadata, "a%") == ["a%b"]
    assert await keys_under(engine.metadata, "a_") == ["a_b"]
    assert await keys_under(engine.metadata, "a*") == ["a*b"]


async def test_pages_follow_each_other(engine):
    await engine.metadata.apply([Write(f"k/{number:03}", b"") for number in range(25)])
    await engine.metadata.put("l", b"")
    pages, after = [], ""
    while page := await keys_under(engine.metadata, "k/", after=after, max_entries=10):
        pages.append(page)
        after = page[-1]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [key for page in pages for key in page] == [f"k/{number:03}" for number in range(25)]


async def test_a_page_may_begin_at_a_key_that_is_gone(engine):
    await engine.metadata.apply([Write(key, b"") for key in ("k/a", "k/c")])
    assert await keys_under(engine.metadata, "k/", after="k/b") == ["k/c"]
    assert await keys_under(engine.metadata, "k/", after="a") == ["k/a", "k/c"]
    assert await keys_under(engine.metadata, "k/", after="z") == []


async def test_records_and_revisions_outlive_the_engine(engine, reopen):
    await engine.metadata.put("a", b"1")
    kept = await engine.metadata.put("b", b"2")
    last = await engine.metadata.put("c", b"3")
    await engine.metadata.delete("c")
    reopened = (await reopen()).metadata
    assert await reopened.get("b") == Entry(key="b", value=b"2", revision=kept)
    assert await keys_under(reopened, "") == ["a", "b"]
    assert await reopened.put("d", b"") > last


async def test_reset_forgets_all_records(engine):
    last = await engine.metadata.put("a", b"1")
    await engine.reset()
    assert await engine.metadata.list("") == []
    assert await engine.metadata.put("a", b"2", expected=0) > last


LETTERS = ["a", "b", "/", "\0", "\x7f", "é", "\ud7ff", "\ue000", "\U0010ffff"]
KEYS = st.text(alphabet=LETTERS, min_size=1, max_size=4)
PARTS = st.text(alphabet=LETTERS, max_size=3)
STEPS = st.lists(
    st.tuples(KEYS, st.one_of(st.none(), st.binary(max_size=3)), st.sampled_from([None, "right", "wrong", "absent"])),
    max_size=20,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, prefix=PARTS, after=PARTS, max_entries=st.integers(1, 5))
def test_it_behaves_as_a_sorted_dictionary(build, steps, prefix, after, max_entries):
    async def run():
        engine = build(VirtualClock(0)).engine
        await engine.start()
        model = {}
        for key, value, expectation in steps:
            await step(engine.metadata, model, key, value, expectation)
        listed = await engine.metadata.list(prefix, after=after, max_entries=max_entries)
        keys = sorted(key for key in model if key.startswith(prefix) and key > after)
        assert listed == [model[key] for key in keys[:max_entries]]
        await engine.close()

    asyncio.run(run())


async def step(metadata, model, key, value, expectation):
    """Put or delete as told, in the store and in the model; a wrong expectation must be refused."""
    stored = model[key].revision if key in model else 0
    expected = {None: None, "right": stored, "wrong": stored + 1, "absent": 0}[expectation]
    call = metadata.delete(key, expected=expected) if value is None else metadata.put(key, value, expected=expected)
    if expected not in (None, stored):
        with pytest.raises(Conflict):
            await call
        return
    revision = await call
    if value is None:
        model.pop(key, None)
    else:
        model[key] = Entry(key=key, value=value, revision=revision)
