"""TagQueue, UntagQueue, ListQueueTags."""

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def tags(sqs, queue):
    """A function that lists the queue's tags."""
    return lambda: sqs.list_queue_tags(QueueUrl=queue.url).get("Tags", {})


@pytest.fixture
def tag(sqs, queue):
    """A function that tags the queue."""
    return lambda **tags: sqs.tag_queue(QueueUrl=queue.url, Tags=tags)


def test_a_new_queue_has_none(tags):
    assert tags() == {}


def test_tags_at_creation(sqs, make_queue):
    queue = make_queue("tagged", tags={"team": "orders", "empty": ""})
    assert sqs.list_queue_tags(QueueUrl=queue.url)["Tags"] == {"team": "orders", "empty": ""}


def test_creating_again_without_tags_keeps_them(sqs, make_queue):
    queue = make_queue("tagged", tags={"team": "orders"})
    sqs.create_queue(QueueName="tagged")
    assert sqs.list_queue_tags(QueueUrl=queue.url)["Tags"] == {"team": "orders"}


def test_tags_add_up_and_replace(tag, tags):
    tag(tag1="value1", tag2="value2", tag3="")
    assert tags() == {"tag1": "value1", "tag2": "value2", "tag3": ""}
    tag(tag1="another", Tag1="case counts")
    assert tags() == {"tag1": "another", "Tag1": "case counts", "tag2": "value2", "tag3": ""}


def test_untag(sqs, queue, tag, tags):
    tag(tag1="value1", tag2="value2", tag3="")
    sqs.untag_queue(QueueUrl=queue.url, TagKeys=["tag1", "tag3", "never set"])
    assert tags() == {"tag2": "value2"}
    sqs.untag_queue(QueueUrl=queue.url, TagKeys=["tag2"])
    assert tags() == {}


def test_letters_of_tags(tag, tags):
    odd = {"Grüße/+-=._:@ 1": "wert: ä=ö @ 世界"}
    tag(**odd)
    assert tags() == odd


def test_fifty_tags_at_most(tag, tags):
    tag(**{f"t{number}": "x" for number in range(50)})
    tag(t0="replaced")
    with pytest.raises(ClientError, match=r"[Tt]ags"):
        tag(one="more")
    assert len(tags()) == 50


@pytest.mark.parametrize("key", ["k" * 129, "aws:reserved"])
def test_keys_that_are_not_allowed(tag, tags, key, refused):
    with refused("InvalidParameterValue"):
        tag(**{key: "x"})
    assert tags() == {}


def test_values_that_are_too_long(tag, refused):
    tag(k="v" * 256)
    with refused("InvalidParameterValue"):
        tag(k="v" * 257)


def test_tags_go_with_the_queue(sqs, queue, tag, tags, headrace):
    tag(team="orders")
    sqs.delete_queue(QueueUrl=queue.url)
    headrace.advance(60)
    sqs.create_queue(QueueName=queue.name)
    assert tags() == {}
