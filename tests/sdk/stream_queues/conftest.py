"""A stream in on-demand mode, and queues on it."""

from __future__ import annotations

import pytest

from .calls import make_stream


@pytest.fixture
def kinesis(headrace):
    return headrace.client("kinesis")


@pytest.fixture
def stream_arn(headrace, kinesis):
    """A stream in on-demand mode."""
    return make_stream(headrace, kinesis, "clicks")


@pytest.fixture
def make_queue(headrace, kinesis, stream_arn):
    """A function that makes a queue on the stream, ACTIVE unless told otherwise; its ARN."""

    def make(name="work", position=None, *, active=True, tags=None, **attributes):
        configuration = {"StreamARN": stream_arn} | ({"StartingPosition": position} if position else {})
        options = ({"QueueAttributes": attributes} if attributes else {}) | ({"Tags": tags} if tags else {})
        made = kinesis.create_queue(QueueName=name, StreamConfigurationList=[configuration], **options)
        if active:
            headrace.advance(1)
        return made["QueueDescription"]["QueueARN"]

    return make


@pytest.fixture
def queue(make_queue):
    return make_queue()
