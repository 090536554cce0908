"""Streams in a resources file: what may be written, and what is called."""

import pytest

from headrace.errors import ServiceError
from headrace.resources import ResourcesError, create_resources, read_resources

WHOLE = """\
streams:
  clicks:
    shards: 4
    retention_hours: 48
    tags: {team: web, year: 2013}
  views:
"""


@pytest.fixture
def read(tmp_path):
    def read(text: str):
        path = tmp_path / "file.yaml"
        path.write_text(text)
        return read_resources(str(path))

    return read


class Recorder:
    """Stands for the server's pipeline: notes the calls; streams are UPDATING at every other look."""

    def __init__(self, retention_h=24, there=(), refuse=""):
        self.calls = []
        self.retention_h = retention_h
        self.there = there
        self.refuse = refuse
        self.looks = 0

    async def __call__(self, service, operation, params, *, principal, region):
        assert (service, principal.account, region) == ("kinesis", "000000000000", "us-east-1")
        if operation == "DescribeStreamSummary":
            self.looks += 1
            status = "UPDATING" if self.looks % 2 else "ACTIVE"
            return {"StreamDescriptionSummary": {"StreamStatus": status, "RetentionPeriodHours": self.retention_h}}
        self.calls.append((operation, params))
        if operation == self.refuse:
            raise ServiceError("InvalidArgumentException", "Not this.")
        if operation == "CreateStream" and params["StreamName"] in self.there:
            raise ServiceError("ResourceInUseException", "It is there.")
        return {}


async def test_streams_are_made_then_set(read):
    recorder = Recorder()
    await create_resources(read(WHOLE), recorder)
    assert recorder.calls == [
        ("CreateStream", {"StreamName": "clicks", "ShardCount": 4}),
        ("CreateStream", {"StreamName": "views", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
        ("IncreaseStreamRetentionPeriod", {"StreamName": "clicks", "RetentionPeriodHours": 48}),
        ("AddTagsToStream", {"StreamName": "clicks", "Tags": {"team": "web", "year": "2013"}}),
    ]
    assert recorder.looks == 8, "each stream was waited for, before it was set and at the end"


async def test_five_streams_are_made_at_a_time(read):
    recorder = Recorder()
    text = "".join(f"  s{number}: {{tags: {{a: b}}}}\n" for number in range(12))
    await create_resources(read(f"streams:\n{text}"), recorder)
    operations = [operation for operation, _ in recorder.calls]
    creations, settings = ["CreateStream"], ["AddTagsToStream"]
    assert operations == [*creations * 5, *settings * 5, *creations * 5, *settings * 5, *creations * 2, *settings * 2]


async def test_a_stream_that_is_there_keeps_its_shards(read):
    recorder = Recorder(retention_h=72, there=("clicks", "views"))
    await create_resources(read(WHOLE), recorder)
    assert [operation for operation, _ in recorder.calls][2:] == ["DecreaseStreamRetentionPeriod", "AddTagsToStream"]


async def test_a_retention_that_is_right_is_left_alone(read):
    recorder = Recorder(retention_h=48, there=("clicks", "views"))
    await create_resources(read(WHOLE), recorder)
    assert [operation for operation, _ in recorder.calls] == ["CreateStream", "CreateStream", "AddTagsToStream"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("streams:\n  s:\n    shard: 4\n", "file.yaml:3: unknown key shard in stream s"),
        ("streams:\n  s:\n    shards: many\n", "file.yaml:3: shards must be a whole number, not many"),
        ("streams:\n  s:\n    shards: 0\n", "file.yaml:3: shards must be a whole number, not 0"),
        ("streams:\n  s:\n    retention_hours: 1.5\n", "file.yaml:3: retention_hours must be a whole number, not 1.5"),
        ("streams: [s]\n", "file.yaml:1: streams must be a mapping"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(read, text, said):
    with pytest.raises(ResourcesError) as caught:
        read(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("operation", "line"), [("CreateStream", 2), ("IncreaseStreamRetentionPeriod", 4), ("AddTagsToStream", 2)]
)
async def test_what_the_service_refuses_is_named_with_its_line(read, operation, line):
    with pytest.raises(ResourcesError, match=rf"file.yaml:{line}: {operation}: Not this."):
        await create_resources(read(WHOLE), Recorder(refuse=operation))
