"""Names, addresses, tags, batches, ranges, pages."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ServiceError
from headrace.services.sqs import rules

HERE = ("us-east-1", "111111111111")
NAMES = st.text("abcXYZ019_-", min_size=1, max_size=80)


# Names


@given(NAMES)
def test_a_standard_queue_may_have_any_such_name(name):
    rules.check_queue_name(name, fifo=False)


@given(NAMES.filter(lambda name: len(name) <= 75))
def test_a_fifo_queue_has_the_suffix_which_counts(name):
    rules.check_queue_name(f"{name}.fifo", fifo=True)


@pytest.mark.parametrize(
    ("name", "fifo"),
    [
        ("a" * 81, False),
        ("with.dot", False),
        ("with space", False),
        ("naïve", False),
        ("line\n", False),
        ("orders.fifo", False),
        ("orders", True),
        ("orders.ifo", True),
        (".fifo", True),
        ("a" * 76 + ".fifo", True),
        ("a.b.fifo", True),
    ],
)
def test_other_names_are_refused(name, fifo):
    with pytest.raises(ServiceError, match="an only include alphanumeric characters") as caught:
        rules.check_queue_name(name, fifo=fifo)
    assert caught.value.code == "InvalidParameterValue"


def test_a_queue_has_a_name():
    with pytest.raises(ServiceError, match="Queue name cannot be empty"):
        rules.check_queue_name("", fifo=False)


# Addresses


@pytest.mark.parametrize(
    ("address", "location"),
    [
        ("http://localhost:4566/222222222222/q", ("us-east-1", "222222222222", "q")),
        ("https://sqs.eu-west-1.amazonaws.com/222222222222/q.fifo", ("us-east-1", "222222222222", "q.fifo")),
        ("http://h/222222222222/q/", ("us-east-1", "222222222222", "q")),
        ("http://h/222222222222/q?Action=X", ("us-east-1", "222222222222", "q")),
        ("http://h/queue/q", ("us-east-1", "111111111111", "q")),
        ("http://h/queue/222222222222/q", ("us-east-1", "222222222222", "q")),
        ("http://h/eu-west-1/queue/q", ("eu-west-1", "111111111111", "q")),
        ("http://h/eu-west-1/queue/222222222222/q", ("eu-west-1", "222222222222", "q")),
        ("/222222222222/q", ("us-east-1", "222222222222", "q")),
        ("/queue/q", ("us-east-1", "111111111111", "q")),
        ("222222222222/q", ("us-east-1", "222222222222", "q")),
        ("q", ("us-east-1", "111111111111", "q")),
        ("queue", ("us-east-1", "111111111111", "queue")),
    ],
)
def test_a_queue_is_found_by_path_whatever_the_host(address, location):
    assert rules.locate(address, *HERE) == location


@pytest.mark.parametrize(
    "address",
    ["", "http://localhost:4566", "http://localhost:4566/", "http://h/q", "http://h/a/b/c", "http://h/12/q", "/"],
)
def test_an_address_of_another_form_is_refused(address):
    with pytest.raises(ServiceError, match="is not valid for this endpoint") as caught:
        rules.locate(address, *HERE)
    assert caught.value.code == "InvalidAddress"


@given(st.text())
def test_any_text_is_an_address_or_is_refused(address):
    with contextlib.suppress(ServiceError):
        assert all(rules.locate(address, *HERE))


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-north-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_an_arn_names_the_partition_of_its_region(region, partition):
    arn = rules.arn_of(region, "111111111111", "q")
    assert arn == f"arn:{partition}:sqs:{region}:111111111111:q"
    assert rules.parse_arn(arn) == (region, "111111111111", "q")


@pytest.mark.parametrize(
    "arn", ["", "q", "arn:aws:sns:r:1:q", "arn:aws:sqs:r:1", "arn:aws:sqs::1:q", "arn:aws:sqs:r:1:q:x"]
)
def test_what_is_no_queue_arn_parses_to_nothing(arn):
    assert rules.parse_arn(arn) is None


# Tags


def test_tags_within_the_limits_are_taken():
    rules.check_tags({f"key {n} ü_.:/=+-@": "v" * 256 for n in range(50)}, "q")
    rules.check_tags({"k" * 128: ""}, "q")


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({str(n): "" for n in range(51)}, "Too many tags added for queue q"),
        ({"": "v"}, "between 1 and 128"),
        ({"k" * 129: "v"}, "between 1 and 128"),
        ({"k": "v" * 257}, "between 0 and 256"),
        ({"AWS:k": "v"}, "reserved prefix"),
        ({"k!": "v"}, "can only include"),
        ({"k": "v*"}, "can only include"),
    ],
)
def test_tags_beyond_them_are_refused(tags, message):
    with pytest.raises(ServiceError, match=message) as caught:
        rules.check_tags(tags, "q")
    assert caught.value.code == "InvalidParameterValue"


# Batches


def batch(*ids):
    return [{"Id": entry_id} for entry_id in ids]


def test_ten_distinct_ids_make_a_batch():
    rules.check_batch(batch(*"abcdefgh", "A-z_0-9", "x" * 80), "Entry")


@pytest.mark.parametrize(
    ("entries", "code", "message"),
    [
        ([], "EmptyBatchRequest", "There should be at least one Entry in the request."),
        (
            batch(*"abcdefghijk"),
            "TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10. You have sent 11.",
        ),
        (batch("a", ""), "InvalidBatchEntryId", "A batch entry id can only contain"),
        (batch("a b"), "InvalidBatchEntryId", "A batch entry id can only contain"),
        (batch("é"), "InvalidBatchEntryId", "A batch entry id can only contain"),
        (batch("a\n"), "InvalidBatchEntryId", "A batch entry id can only contain"),
        (batch("x" * 81), "InvalidBatchEntryId", "It can be at most 80 letters long."),
        (batch("a", "b", "a"), "BatchEntryIdsNotDistinct", "Id a repeated."),
    ],
)
def test_other_batches_are_refused_whole(entries, code, message):
    with pytest.raises(ServiceError) as caught:
        rules.check_batch(entries, "Entry")
    assert caught.value.code == code
    assert message in caught.value.message


def test_a_batch_result_leaves_empty_lists_out():
    assert rules.batch_result([], []) == {}
    assert rules.batch_result([{"Id": "a"}], []) == {"Successful": [{"Id": "a"}]}
    failure = rules.failed("b", rules.invalid_parameter("No."))
    assert failure == {"Id": "b", "SenderFault": True, "Code": "InvalidParameterValue", "Message": "No."}
    assert rules.batch_result([], [failure]) == {"Failed": [failure]}


# Ranges


@pytest.mark.parametrize(
    ("values", "parameter"),
    [
        ((0, 0, 0), "MaxNumberOfMessages"),
        ((11, 0, 0), "MaxNumberOfMessages"),
        ((1, -1, 0), "WaitTimeSeconds"),
        ((1, 21, 0), "WaitTimeSeconds"),
        ((1, 0, -1), "VisibilityTimeout"),
        ((1, 0, 43_201), "VisibilityTimeout"),
    ],
)
def test_receive_parameters_have_ranges(values, parameter):
    rules.check_receive(10, 20, 43_200)
    with pytest.raises(ServiceError, match=rf"Value -?\d+ for parameter {parameter} is invalid"):
        rules.check_receive(*values)


@pytest.mark.parametrize("timeout_s", [-1, 43_201])
def test_visibility_has_a_range(timeout_s):
    rules.check_visibility(0)
    rules.check_visibility(43_200)
    with pytest.raises(ServiceError, match="Must be between 0 and 43200"):
        rules.check_visibility(timeout_s)


def test_ids_are_ascii_letters_digits_and_punctuation():
    rules.check_token_text("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~09azAZ", "MessageGroupId")
    for value in ("", "a b", "ü", "\t", "x" * 129):
        with pytest.raises(ServiceError, match="alphanumeric and punctuation characters"):
            rules.check_token_text(value, "MessageGroupId")


# Pages


def test_a_page_has_1000_results_or_as_many_as_asked_for():
    assert rules.page_size(None) == 1000
    assert rules.page_size(7) == 7
    for count in (0, 1001):
        with pytest.raises(ServiceError, match="Must be between 1 and 1000"):
            rules.page_size(count)


@given(st.text(min_size=1))
def test_a_token_leads_back_to_where_it_came_from(last):
    try:
        token = rules.encode_token(last)
    except UnicodeEncodeError:
        return
    assert rules.decode_token(token) == last


def test_what_is_no_token_is_refused():
    assert rules.decode_token(None) == ""
    for token in ("not a token", "a", "_w=="):
        with pytest.raises(ServiceError, match="parameter NextToken is invalid"):
            rules.decode_token(token)
