import pytest

from headrace.wire.codecs.awsjson import JsonCodec
from headrace.wire.codecs.awsquery import QueryCodec
from headrace.wire.routing import Router, region_of


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"Content-Type": "application/x-amz-json-1.0"}, JsonCodec),
        ({"Content-Type": "application/x-amz-json-1.1"}, JsonCodec),
        ({"Content-Type": "application/json"}, JsonCodec),
        ({"Content-Type": "Application/X-Amz-Json-1.0; charset=utf-8"}, JsonCodec),
        ({"Content-Type": "application/x-www-form-urlencoded"}, QueryCodec),
        ({"Content-Type": "text/plain"}, QueryCodec),
        ({"X-Amz-Target": "AmazonSQS.SendMessage"}, QueryCodec),
        ({}, QueryCodec),
    ],
)
def test_the_content_type_tells_the_protocol(served, request_of, headers, kind):
    assert isinstance(Router(served).codec(request_of(headers=headers), own=False), kind)


def test_headraces_own_endpoints_speak_json(served, request_of):
    assert isinstance(Router(served).codec(request_of(path="/_headrace/nothing"), own=True), JsonCodec)


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("sqs.eu-west-1.amazonaws.com", "eu-west-1"),
        ("ap-southeast-2.queue.amazonaws.com:443", "ap-southeast-2"),
        ("sqs.us-gov-west-1.localhost:4566", "us-gov-west-1"),
        ("localhost:4566", "us-east-1"),
        ("127.0.0.1:4566", "us-east-1"),
        ("", "us-east-1"),
    ],
)
def test_the_host_tells_the_region(request_of, host, region):
    assert region_of(request_of(headers={"Host": host})) == region
