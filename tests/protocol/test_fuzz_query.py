"""Forms that are no Query call: every request has well-formed XML for an answer, which blames the caller."""

from __future__ import annotations

import random
from urllib.parse import quote, urlencode

import pytest

from .calls import STRANGE, flatten, good_calls
from .fuzzing import AUTHORIZATION, check_xml, target

OPERATIONS = sorted(good_calls(""))


@pytest.fixture(scope="module")
def fuzzed():
    with target() as server:
        yield server


@pytest.mark.parametrize("operation", OPERATIONS)
def test_wrong_values_for_every_field(fuzzed, operation):
    good = flatten(operation, good_calls(fuzzed.queue_url)[operation])
    texts = [str(value) for value in STRANGE]
    for name in good:
        for text in texts:
            check_xml(fuzzed.query(urlencode(good | {name: text})), operation, name, text)
        check_xml(fuzzed.query(urlencode({key: value for key, value in good.items() if key != name})), operation, name)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_wrong_names_for_every_field(fuzzed, operation):
    good = flatten(operation, good_calls(fuzzed.queue_url)[operation])
    for name in [name for name in good if name not in {"Action", "Version"}]:
        rest = {key: value for key, value in good.items() if key != name}
        parts = name.split(".")
        wrong = [
            name + ".",
            "." + name,
            name + ".x",
            name + ".1",
            name.replace(".", ".."),
            name.lower(),
            parts[0],
            parts[-1],
        ]
        if len(parts) > 1:
            indices = ("0", "-1", "00001", "1e3", "x", "", "99999999999999999999", "2147483648", "1 ", "\u0661")
            wrong += [".".join([parts[0], index, *parts[2:]]) for index in indices]
        for other in wrong:
            check_xml(fuzzed.query(urlencode(rest | {other: good[name]})), operation, other)
            check_xml(fuzzed.query(urlencode(good | {other: "x"})), operation, other)


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"&&&&",
        b"=",
        b"=x",
        b"Action",
        b"Action=",
        b"Action=SendMessage",
        b"Action=SendMessage&Action=DeleteQueue",
        b"Action=sendmessage",
        b"Action=Nothing",
        b"Action=Send%4Dessage&QueueUrl=x",
        b"Action=SendMessage&QueueUrl=%zz&MessageBody=%",
        b"Action=SendMessage&QueueUrl=%ff%fe&MessageBody=%00",
        b"Action=SendMessage&QueueUrl=\xff\xfe&MessageBody=\x00",
        b"Action=SendMessage&QueueUrl=%ED%A0%80&MessageBody=x",
        b"Action=Nothing%00%01%1f",
        b"Action=%3C%26%3E%5D%5D%3E",
        b"Action=" + b"x" * 100_000,
        b"Action=ListQueues&" + b"a=b&" * 100_000,
        b"Action=ListQueues&" + b"a.1." * 20_000 + b"=x",
        b"Action=SetQueueAttributes&" + b"".join(b"Attribute.%d.Name=x&" % number for number in range(5000)),
        b"Action=SendMessageBatch&SendMessageBatchRequestEntry.999999999.Id=x",
        b"Action=SendMessageBatch&SendMessageBatchRequestEntry.1=x&SendMessageBatchRequestEntry.1.Id=y",
        b'{"Action": "SendMessage"}',
        b"<Action>SendMessage</Action>",
        b"\x00" * 1000,
    ],
    ids=range(26),
)
def test_forms_that_are_no_call(fuzzed, form):
    for path in ("/", "/000000000000/fuzzed", "/queue/fuzzed", "/nowhere/at/all", "/000000000000/%00"):
        check_xml(fuzzed.query(form, path), form[:200], path)
        if len(form) < 10_000:
            address = f"{path}?{quote(form, safe='=&%.+')}"
            check_xml(fuzzed.post(b"", {"Authorization": AUTHORIZATION}, address, "GET"), address[:200])


@pytest.mark.parametrize("seed", range(10))
def test_random_forms(fuzzed, seed):
    rng = random.Random(seed)
    good = good_calls(fuzzed.queue_url)
    for _ in range(100):
        operation = rng.choice(OPERATIONS)
        form = bytearray(urlencode(flatten(operation, good[operation])).encode())
        for _ in range(rng.randint(1, 8)):
            place = rng.randrange(len("Action=") + len(operation), len(form) + 1)
            form[place : place + rng.randrange(4)] = rng.choice(
                [b"&", b"=", b".", b"%", b"%00", b"1", rng.randbytes(2)]
            )
        check_xml(fuzzed.query(bytes(form)), bytes(form))


@pytest.mark.parametrize(
    "text", ["\x00", "\x01", "\x0b", "\x1f", "\ufffe", "\uffff", "]]>", "<a>", "&amp;", "\u2028", "\U0010ffff"]
)
def test_what_cannot_stand_in_xml_never_does(fuzzed, text):
    """Answers repeat what they were sent, in values and in what is wrong with them."""
    queue = {"QueueUrl": fuzzed.queue_url}
    for form in (
        {"Action": "SendMessage", **queue, "MessageBody": text},
        {"Action": text},
        {"Action": "GetQueueUrl", "QueueName": text},
        {"Action": "CreateQueue", "QueueName": f"q{text}"},
        {"Action": "ListQueues", "NextToken": text, "MaxResults": "1"},
        {"Action": "TagQueue", **queue, "Tag.1.Key": text, "Tag.1.Value": text},
        {"Action": "ListQueueTags", **queue},
        {"Action": "UntagQueue", **queue, "TagKey.1": text},
        {"Action": "SetQueueAttributes", **queue, "Attribute.1.Name": text, "Attribute.1.Value": text},
        {"Action": "DeleteMessage", **queue, "ReceiptHandle": text},
        {"Action": "SendMessageBatch", **queue, "SendMessageBatchRequestEntry.1.Id": text,
         "SendMessageBatchRequestEntry.1.MessageBody": "x"},
        {"Action": "SendMessage", **queue, "MessageBody": "x", "MessageGroupId": text},
        {"Action": "SendMessage", **queue, "MessageBody": "x", "MessageAttribute.1.Name": "a",
         "MessageAttribute.1.Value.DataType": "String", "MessageAttribute.1.Value.StringValue": text},
        {"Action": "ReceiveMessage", **queue, "AttributeName.1": "All", "MessageAttributeName.1": "All",
         "MaxNumberOfMessages": "10", "VisibilityTimeout": "0"},
    ):  # fmt: skip
        check_xml(fuzzed.query(urlencode(form)), form)
