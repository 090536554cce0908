"""The clickstream, on the flights of a few aircraft and a server of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "clickstream"
SAMPLE = EXAMPLE / "sample.csv"


@pytest.fixture
def example(monkeypatch):
    """The example's modules, by name, gone again after the test: another example has modules of the same names."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    names = ("events", "flights", "run", "workers")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)

    def load(name):
        return __import__(name)

    yield load
    for name in names:
        sys.modules.pop(name, None)


def test_each_reader_gets_everything_in_order():
    command = [sys.executable, str(EXAMPLE / "run.py"), "--flights", str(SAMPLE), "--shards", "2"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = [line for line in ran.stdout.splitlines() if line.startswith("│")]
    assert len(rows) == 7
    readers = [row for row in rows if " yes" in row]
    assert len(readers) == 6
    assert all("1,193" in row for row in rows)
    assert "2 shards, 4 from" in ran.stdout


def test_events_are_numbered_by_aircraft(example):
    events = example("events")
    tally, numbers = events.Tally(), Counter()
    for event in events.events(SAMPLE):
        assert event.number == numbers[event.aircraft]
        numbers[event.aircraft] += 1
        tally.read(event.data)
    assert (tally.count, tally.wrong, tally.events_of) == (1_193, [], dict(numbers))


@pytest.mark.parametrize(
    ("read", "wrong"),
    [
        ([0, 1, 2], []),
        ([0, 2], ["A: event 2 came when 1 was next"]),
        ([0, 0, 1], ["A: event 0 came when 1 was next"]),
        ([1, 0], ["A: event 1 came when 0 was next", "A: event 0 came when 2 was next"]),
    ],
)
def test_a_tally_tells_what_is_missing_double_or_early(example, read, wrong):
    tally = example("events").Tally()
    for number in read:
        tally.read(json.dumps({"aircraft": "A", "number": number}).encode())
    assert tally.wrong == wrong


def test_no_batch_has_two_events_of_an_aircraft(example):
    events, workers = example("events"), example("workers")
    numbers = Counter()
    for batch in workers.batches(events.events(SAMPLE)):
        assert 1 <= len(batch) <= workers.BATCH
        assert len({event.aircraft for event in batch}) == len(batch)
        for event in batch:
            assert event.number == numbers[event.aircraft]
            numbers[event.aircraft] += 1
    assert sum(numbers.values()) == 1_193


def test_children_are_begun_after_all_their_parents(example):
    workers = example("workers")
    shards = workers.Shards([{"ShardId": "a"}, {"ShardId": "b"}, {"ShardId": "c", "ParentShardId": "expired"}])
    assert sorted(shards.ready()) == ["a", "b", "c"]
    assert shards.ready() == []
    merged = [{"ShardId": "d", "ParentShards": ["a", "b"]}]
    shards.finish("a", merged)
    assert shards.ready() == []
    shards.finish("b", merged)
    assert shards.ready() == ["d"]


def test_what_a_reader_missed_is_told(example, tmp_path):
    run, workers = example("run"), example("workers")
    task = workers.Task("", "", SAMPLE, None, 3, tmp_path)
    assert run.verdict(task, {"A": 3}, "r") == ["it did not come to the end"]
    (tmp_path / "r.json").write_text(json.dumps({"wrong": [], "events_of": {"A": 2, "B": 1}}))
    assert sorted(run.verdict(task, {"A": 3}, "r")) == ["A: 2 events read, 3 put", "B: 1 events read, 0 put"]
    assert run.verdict(task, {"A": 2, "B": 1}, "r") == []


class Pushing:
    """Stands for a client: pushes what each shard has, two events a subscription."""

    def __init__(self, shards, children):
        self.shards = shards
        self.children = children

    def subscribe_to_shard(self, ConsumerARN, ShardId, StartingPosition):  # noqa: N803 - boto3's names
        after = int(StartingPosition.get("SequenceNumber", -1))
        return {"EventStream": self.pushed(ShardId, after)}

    def pushed(self, shard_id, after):
        records = self.shards[shard_id]
        for number in range(after + 1, min(after + 3, len(records))):
            event = {"Records": [{"Data": records[number]}], "ContinuationSequenceNumber": str(number)}
            if number == len(records) - 1 and shard_id in self.children:
                event["ChildShards"] = self.children[shard_id]
            yield {"SubscribeToShardEvent": event}


def test_a_fan_out_reader_subscribes_anew_and_follows_the_children(example):
    events, workers = example("events"), example("workers")
    of = {key: [json.dumps({"aircraft": key, "number": n}).encode() for n in range(9)] for key in "AB"}
    shards = {"1": [*of["A"][:5], *of["B"][:4]], "2": of["A"][5:], "3": of["B"][4:]}
    children = {"1": [{"ShardId": "2", "ParentShards": ["1"]}, {"ShardId": "3", "ParentShards": ["1"]}]}
    reader = workers._FanOut(Pushing(shards, children), "arn", workers.Shards([{"ShardId": "1"}]), 18)
    reader.begin()
    assert reader.progress.wait(20)
    assert (reader.failures, reader.tally.wrong) == ([], [])
    assert reader.tally.events_of == {"A": 9, "B": 9}
    assert isinstance(reader.tally, events.Tally)
