"""Metadata: watchers see every change under their prefix, in order, before it is answered."""

import asyncio

import pytest

from headrace.primitives.metadata import Change, Conflict, Entry, Write


@pytest.fixture
def watch(engine):
    """Watch a prefix; the list of changes seen."""

    def begin(prefix=""):
        seen = []
        engine.metadata.watch(prefix, seen.append)
        return seen

    return begin


async def test_a_watcher_sees_puts_and_deletions(engine, watch):
    seen = watch("a/")
    revision = await engine.metadata.put("a/b", b"1")
    assert seen == [Change(key="a/b", entry=Entry(key="a/b", value=b"1", revision=revision))]
    await engine.metadata.delete("a/b")
    assert seen[1:] == [Change(key="a/b", entry=None)]


async def test_a_watcher_sees_its_prefix_only(engine, watch):
    seen = watch("a/")
    for key in ("a", "b/a/", "A/b", "a0", "a/1"):
        await engine.metadata.put(key, b"")
    assert [change.key for change in seen] == ["a/1"]


async def test_what_changes_nothing_is_not_told(engine, watch):
    seen = watch()
    await engine.metadata.delete("never")
    with pytest.raises(Conflict):
        await engine.metadata.put("k", b"", expected=5)
    assert seen == []


async def test_apply_is_told_change_by_change(engine, watch):
    await engine.metadata.put("gone", b"")
    seen = watch()
    await engine.metadata.apply([Write("b", b"1"), Write("gone", None), Write("a", b"2")])
    assert [(change.key, change.entry and change.entry.value) for change in seen] == [
        ("b", b"1"),
        ("gone", None),
        ("a", b"2"),
    ]


async def test_changes_at_once_are_told_in_the_order_of_their_revisions(engine, watch):
    seen = watch()
    await asyncio.gather(*(engine.metadata.put(f"k{number}", b"") for number in range(50)))
    revisions = [change.entry.revision for change in seen]
    assert len(revisions) == 50
    assert revisions == sorted(revisions)


async def test_a_change_is_told_before_it_is_answered(engine):
    order = []
    engine.metadata.watch("", lambda change: order.append(("told", change.key)))

    async def put(key):
        await engine.metadata.put(key, b"")
        order.append(("answered", key))

    await asyncio.gather(*(put(key) for key in "abc"))
    for key in "abc":
        assert order.index(("told", key)) < order.index(("answered", key))


async def test_a_change_is_told_though_its_writer_gave_up(engine, watch):
    seen = watch()
    writer = asyncio.ensure_future(engine.metadata.put("k", b"1"))
    await asyncio.sleep(0)
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    await engine.metadata.put("later", b"")
    stored = await engine.metadata.get("k")
    assert [change.entry for change in seen if change.key == "k"] == ([stored] if stored else [])


async def test_a_watch_that_ended_sees_nothing_more(engine):
    first, second = [], []
    end = engine.metadata.watch("", first.append)
    engine.metadata.watch("", second.append)
    await engine.metadata.put("a", b"")
    end()
    end()
    await engine.metadata.put("b", b"")
    assert [change.key for change in first] == ["a"]
    assert [change.key for change in second] == ["a", "b"]


async def test_two_watches_of_one_callback_end_apart(engine):
    seen = []
    end = engine.metadata.watch("", seen.append)
    engine.metadata.watch("", seen.append)
    end()
    await engine.metadata.put("a", b"")
    assert len(seen) == 1


async def test_a_watcher_may_end_its_watch_and_begin_others(engine):
    seen = []

    def once(change):
        seen.append(("once", change.key))
        end()
        engine.metadata.watch("", lambda change: seen.append(("then", change.key)))

    end = engine.metadata.watch("", once)
    await engine.metadata.put("a", b"")
    await engine.metadata.put("b", b"")
    assert seen == [("once", "a"), ("then", "b")]


async def test_a_watcher_that_fails_disturbs_neither_writer_nor_watchers(engine, watch):
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context["exception"]))

    def fail(change):
        raise RuntimeError(change.key)

    engine.metadata.watch("", fail)
    seen = watch()
    await engine.metadata.put("a", b"")
    assert [change.key for change in seen] == ["a"]
    assert [str(cause) for cause in reported] == ["a"]


async def test_reset_tells_that_every_key_is_gone(engine, watch):
    await engine.metadata.apply([Write(key, b"") for key in ("a/1", "a/2", "b/1")])
    seen = watch("a/")
    await engine.reset()
    assert seen == [Change(key="a/1", entry=None), Change(key="a/2", entry=None)]
    await engine.metadata.put("a/3", b"")
    assert [change.key for change in seen] == ["a/1", "a/2", "a/3"]
