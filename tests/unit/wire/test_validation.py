import pytest

from headrace.errors import ServiceError
from headrace.wire.overlays import Overlay
from headrace.wire.shapes import Member, Shape
from headrace.wire.validation import MAX_VIOLATIONS, check, violations


def refused(style, shape, params):
    with pytest.raises(ServiceError) as refusal:
        check(style, shape, params)
    return refusal.value.code, refusal.value.message


def structure(*, required=(), **members):
    return Shape(
        name="S",
        kind="structure",
        required=tuple(required),
        members={name: Member(name, name, shape) for name, shape in members.items()},
    )


def text(**constraints):
    return Shape(name="T", kind="string", **constraints)


class TestAllInOne:
    """Kinesis stands for the services that list what is wrong in one ValidationException."""

    style = Overlay().style

    def test_messages_are_those_of_aws(self, served):
        shape = served.services["kinesis"].operation("CreateStream").input
        code, message = refused(self.style, shape, {"StreamName": "no spaces", "ShardCount": 0})
        assert code == "ValidationException"
        assert message == (
            "2 validation errors detected: "
            "Value 'no spaces' at 'streamName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; "
            "Value '0' at 'shardCount' failed to satisfy constraint: "
            "Member must have value greater than or equal to 1"
        )

    def test_what_is_missing(self, served):
        shape = served.services["kinesis"].operation("CreateStream").input
        assert refused(self.style, shape, {})[1] == (
            "1 validation error detected: Value null at 'streamName' failed to satisfy constraint: "
            "Member must not be null"
        )

    def test_what_lies_within_a_list(self, served):
        shape = served.services["kinesis"].operation("PutRecords").input
        records = [{"Data": b"x", "PartitionKey": "k"}, {"Data": b"x", "PartitionKey": ""}]
        _, message = refused(self.style, shape, {"Records": records, "StreamName": "s"})
        assert "Value '' at 'records.2.member.partitionKey' failed" in message

    def test_lengths_count_bytes_elements_and_entries(self):
        shape = structure(
            B=Shape(name="B", kind="blob", maximum=2),
            L=Shape(name="L", kind="list", member=text(), maximum=1),
            M=Shape(name="M", kind="map", key=text(), value=text(), minimum=1),
        )
        _, message = refused(self.style, shape, {"B": b"abc", "L": ["a", "b"], "M": {}})
        assert "Value 'java.nio.HeapByteBuffer[pos=0 lim=3 cap=3]' at 'b'" in message
        assert "Value '[a, b]' at 'l' failed to satisfy constraint: Member must have length less than" in message
        assert "Value '{}' at 'm' failed to satisfy constraint: Member must have length greater than" in message

    def test_keys_and_values_of_maps(self):
        shape = structure(M=Shape(name="M", kind="map", key=text(maximum=1), value=text(enum=("A", "B"))))
        _, message = refused(self.style, shape, {"M": {"kk": "C"}})
        assert "Value 'kk' at 'm.kk.key' failed" in message
        assert "Value 'C' at 'm.kk.member' failed to satisfy constraint: " in message
        assert "Member must satisfy enum value set: [A, B]" in message

    def test_no_more_than_ten_are_named(self):
        shape = structure(L=Shape(name="L", kind="list", member=text(minimum=1)))
        assert refused(self.style, shape, {"L": [""] * 50})[1].startswith(f"{MAX_VIOLATIONS} validation errors")

    def test_a_pattern_that_cannot_be_read_is_met(self):
        check(self.style, structure(A=text(pattern=r"[\p{L}]+")), {"A": "?"})

    def test_a_pattern_is_met_by_the_whole_string(self):
        assert refused(self.style, structure(A=text(pattern="[a-z]+")), {"A": "abc\n"})

    def test_fractions_of_bounds(self):
        shape = structure(D=Shape(name="D", kind="double", minimum=0.5))
        assert "greater than or equal to 0.5" in refused(self.style, shape, {"D": 0.25})[1]


class TestOneByOne:
    """SQS names the first missing parameter and leaves the rest to its rules."""

    @pytest.fixture
    def sqs(self, served):
        return served.services["sqs"]

    @pytest.mark.parametrize(
        ("operation", "params", "code", "message"),
        [
            ("SendMessage", {}, "MissingParameter", "The request must contain the parameter QueueUrl."),
            (
                "SendMessage",
                {"QueueUrl": "u"},
                "MissingParameter",
                "The request must contain the parameter MessageBody.",
            ),
            (
                "SendMessageBatch",
                {"QueueUrl": "u", "Entries": [{"Id": "1", "MessageBody": "b"}, {"MessageBody": "b"}]},
                "MissingParameter",
                "The request must contain the parameter SendMessageBatchRequestEntry.2.Id.",
            ),
            (
                "CreateQueue",
                {},
                "InvalidParameterValue",
                "Value for parameter QueueName is invalid. Reason: Must specify a queue name.",
            ),
            (
                "SetQueueAttributes",
                {"QueueUrl": "u"},
                "MissingParameter",
                "The request must contain the parameter Attribute.Name.",
            ),
            (
                "DeleteMessageBatch",
                {"QueueUrl": "u"},
                "EmptyBatchRequest",
                "There should be at least one DeleteMessageBatchRequestEntry in the request.",
            ),
        ],
    )
    def test_messages_are_those_of_sqs(self, sqs, operation, params, code, message):
        assert refused(sqs.overlay.style, sqs.operation(operation).input, params) == (code, message)

    def test_values_are_left_to_the_rules(self, sqs):
        params = {"QueueUrl": "u", "AttributeNames": ["Nothing"], "MaxNumberOfMessages": 99}
        check(sqs.overlay.style, sqs.operation("ReceiveMessage").input, params)

    def test_a_message_attribute_without_type_is_left_to_the_rules(self, sqs):
        params = {"QueueUrl": "u", "MessageBody": "b", "MessageAttributes": {"a": {}}}
        check(sqs.overlay.style, sqs.operation("SendMessage").input, params)


def test_the_query_path_names_map_entries():
    shape = structure(M=Shape(name="M", kind="map", key=text(), value=text(maximum=1)))
    (violation,) = violations(shape, {"M": {"k": "vv"}})
    assert violation.query_path == "M.entry.1.value"
