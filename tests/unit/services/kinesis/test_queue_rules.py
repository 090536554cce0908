"""What stream queues demand of their parameters, and how they are described."""

from __future__ import annotations

import msgspec
import pytest

from headrace.errors import ServiceError
from headrace.services.kinesis import queue_limits as limits
from headrace.services.kinesis import queue_rules
from headrace.services.kinesis.queue_records import Attributes, QueueRecord

NOW_MS = 1_700_000_000_500
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"


def record(**changes):
    made = QueueRecord(
        name="q",
        id="0af1",
        created_at_ms=NOW_MS,
        stream_name="clicks",
        stream_created_at_ms=NOW_MS - 5_123,
        position="TRIM_HORIZON",
        timestamp_ms=None,
        starts_at_ms=NOW_MS - 5_123,
        attributes=Attributes(visibility_timeout_s=30, max_receives=6),
        phase_ends_ms=NOW_MS + 200,
    )
    return msgspec.structs.replace(made, **changes)


def error(call, *arguments):
    with pytest.raises(ServiceError) as caught:
        call(*arguments)
    return caught.value.code


@pytest.mark.parametrize("account", ["000000000000", "123456789012"])
@pytest.mark.parametrize("region", ["us-east-1", "cn-north-1", "us-gov-west-1"])
def test_an_arn_names_region_account_and_id(region, account):
    arn = queue_rules.queue_arn(region, account, "0af1")
    assert queue_rules.parse_queue_arn(arn) == (region, account, "0af1")


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        ("arn:aws:kinesis:us-east-1:000000000000:queue/not_an-id", "ResourceNotFoundException"),
        (STREAM, "ResourceNotFoundException"),
        ("arn:aws:sqs:us-east-1:000000000000:queue/0af1", "InvalidArgumentException"),
        ("queue/0af1", "InvalidArgumentException"),
    ],
)
def test_what_names_no_queue(arn, code):
    assert error(queue_rules.parse_queue_arn, arn) == code


# Attributes


def test_attributes_that_are_not_given_stay():
    assert queue_rules.change(queue_rules.DEFAULTS, {}) == Attributes(visibility_timeout_s=30, max_receives=6)
    changed = queue_rules.change(queue_rules.DEFAULTS, {"VisibilityTimeoutSeconds": 0})
    assert changed == Attributes(visibility_timeout_s=0, max_receives=6)
    dead_letters = {"DeadLetterConfiguration": {"TargetType": "BUILT_IN", "MaxReceiveCount": 3}}
    assert queue_rules.change(changed, dead_letters) == Attributes(visibility_timeout_s=0, max_receives=3)
    off = {"DeadLetterConfiguration": {"TargetType": "NONE"}}
    assert queue_rules.change(changed, off) == Attributes(visibility_timeout_s=0, max_receives=0)


def test_built_in_dead_letters_need_a_count():
    given = {"DeadLetterConfiguration": {"TargetType": "BUILT_IN"}}
    assert error(queue_rules.change, queue_rules.DEFAULTS, given) == "ValidationException"


def test_attributes_are_described_as_they_are_given():
    for dead_letters in ({"TargetType": "NONE"}, {"TargetType": "BUILT_IN", "MaxReceiveCount": 1_000}):
        given = {"VisibilityTimeoutSeconds": 43_200, "DeadLetterConfiguration": dead_letters}
        assert queue_rules.describe_attributes(queue_rules.change(queue_rules.DEFAULTS, given)) == given


# Where a queue begins


def test_a_queue_is_on_exactly_one_stream():
    assert queue_rules.stream_configuration([{"StreamARN": STREAM}]) == {"StreamARN": STREAM}
    assert error(queue_rules.stream_configuration, [{}, {}]) == "ValidationException"
    assert error(queue_rules.stream_configuration, []) == "ValidationException"


def test_a_queue_begins_with_what_comes_unless_it_says_otherwise():
    assert queue_rules.starting_position({}) == ("LATEST", None)
    assert queue_rules.starting_position({"StartingPosition": {"Type": "TRIM_HORIZON"}}) == ("TRIM_HORIZON", None)
    at = {"StartingPosition": {"Type": "AT_TIMESTAMP", "Timestamp": 1_700_000_000.123}}
    assert queue_rules.starting_position(at) == ("AT_TIMESTAMP", 1_700_000_000_123)


@pytest.mark.parametrize(
    "position",
    [
        {"Type": "AT_TIMESTAMP"},
        {"Type": "LATEST", "Timestamp": 1.0},
        {"Type": "TRIM_HORIZON", "Timestamp": 0.0},
        {"Type": "AT_TIMESTAMP", "Timestamp": float("nan")},
        {"Type": "AT_TIMESTAMP", "Timestamp": float("inf")},
    ],
)
def test_a_timestamp_goes_with_at_timestamp_alone(position):
    assert error(queue_rules.starting_position, {"StartingPosition": position}) == "ValidationException"


def test_the_effective_start_is_not_before_what_can_be_read():
    start = queue_rules.effective_start_ms
    assert start("LATEST", None, 100, 40) == 100
    assert start("TRIM_HORIZON", None, 100, 40) == 40
    assert start("AT_TIMESTAMP", 10, 100, 40) == 40
    assert start("AT_TIMESTAMP", 70, 100, 40) == 70
    assert start("AT_TIMESTAMP", 170, 100, 40) == 170


# Status and descriptions


def test_phases_end_by_the_clock():
    ends_ms = NOW_MS + 200
    for phase in ("CREATING", "UPDATING"):
        assert queue_rules.status(record(phase=phase), ends_ms - 1) == phase
        assert queue_rules.status(record(phase=phase), ends_ms) == "ACTIVE"
    deleting = record(phase="DELETING")
    assert queue_rules.status(deleting, ends_ms) == "DELETING"
    assert not queue_rules.is_gone(deleting, ends_ms - 1)
    assert queue_rules.is_gone(deleting, ends_ms)
    assert not queue_rules.is_gone(record(), ends_ms)


def test_changed_attributes_are_shown_at_once_and_hold_once_active():
    before = Attributes(visibility_timeout_s=30, max_receives=6)
    changed = record(phase="UPDATING", before=before, attributes=Attributes(visibility_timeout_s=5, max_receives=0))
    shown = queue_rules.describe(changed, "us-east-1", "000000000000", NOW_MS)["QueueAttributes"]
    assert shown == {"VisibilityTimeoutSeconds": 5, "DeadLetterConfiguration": {"TargetType": "NONE"}}
    assert queue_rules.attributes_now(changed, NOW_MS) == before
    assert queue_rules.attributes_now(changed, NOW_MS + 200) == changed.attributes


def test_a_description():
    described = queue_rules.describe(record(), "us-east-1", "000000000000", NOW_MS + 200)
    assert described == {
        "QueueName": "q",
        "QueueARN": "arn:aws:kinesis:us-east-1:000000000000:queue/0af1",
        "QueueStatus": "ACTIVE",
        "QueueCreationTimestamp": 1_700_000_000.5,
        "StreamConfigurationList": [
            {"StreamARN": STREAM, "StartingPosition": {"Type": "TRIM_HORIZON", "Timestamp": 1_699_999_995.377}}
        ],
        "QueueAttributes": {
            "VisibilityTimeoutSeconds": 30,
            "DeadLetterConfiguration": {"TargetType": "BUILT_IN", "MaxReceiveCount": 6},
        },
    }


@pytest.mark.parametrize(("position", "timestamp_ms", "shown"), [("LATEST", None, None), ("AT_TIMESTAMP", 5_000, 5.0)])
def test_while_it_is_created_a_queue_begins_where_its_maker_said(position, timestamp_ms, shown):
    made = record(position=position, timestamp_ms=timestamp_ms)
    configuration = queue_rules.describe(made, "us-east-1", "000000000000", NOW_MS)["StreamConfigurationList"][0]
    assert configuration["StartingPosition"].get("Timestamp") == shown


def test_a_summary():
    assert queue_rules.summarise(record(), "us-east-1", "000000000000", NOW_MS) == {
        "QueueName": "q",
        "QueueARN": "arn:aws:kinesis:us-east-1:000000000000:queue/0af1",
        "QueueStatus": "CREATING",
        "QueueCreationTimestamp": 1_700_000_000.5,
        "Streams": [{"StreamARN": STREAM, "StreamCreationTimestamp": 1_699_999_995.0}],
    }


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        ([], True),
        ([{"StreamARN": STREAM}], True),
        ([{"StreamARN": STREAM, "StreamCreationTimestamp": 1_699_999_995.377}], True),
        ([{"StreamARN": STREAM, "StreamCreationTimestamp": 1_699_999_995}], True),
        ([{"StreamARN": STREAM, "StreamCreationTimestamp": 1_699_999_994.9}], False),
        ([{"StreamARN": f"{STREAM}2"}], False),
        ([{"StreamARN": f"{STREAM}2"}, {"StreamARN": STREAM}], True),
    ],
)
def test_filters(filters, passes):
    assert queue_rules.matches(record(), "us-east-1", "000000000000", filters) is passes


# Pages and tags


def test_a_token_continues_after_a_name_for_five_minutes():
    token = queue_rules.write_token("orders", NOW_MS)
    assert queue_rules.read_token(token, NOW_MS + limits.TOKEN_LIFE_MS) == "orders"
    assert queue_rules.read_token(None, NOW_MS) == ""
    assert error(queue_rules.read_token, token, NOW_MS + limits.TOKEN_LIFE_MS + 1) == "ExpiredNextTokenException"


@pytest.mark.parametrize("token", ["x", "not base64!", "AAAA", "w7/DvA==", "é"])
def test_what_was_never_a_token(token):
    assert error(queue_rules.read_token, token, NOW_MS) == "InvalidArgumentException"
