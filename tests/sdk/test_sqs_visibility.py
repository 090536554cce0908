"""ChangeMessageVisibility: longer, shorter, at once, and what is refused."""

import pytest


def gone(handle):
    return (
        f"Value {handle} for parameter ReceiptHandle is invalid. "
        "Reason: Message does not exist or is not available for visibility timeout change."
    )


@pytest.fixture
def held(queue):
    """The queue, and a message of it in flight for 30 s."""
    queue.send("held")
    (message,) = queue.receive()
    return queue, message


def test_longer(held, headrace):
    queue, message = held
    headrace.advance(20)
    queue.hide(message, 60)
    headrace.advance(58)
    assert queue.bodies() == []
    headrace.advance(2)
    assert queue.bodies() == ["held"]


def test_shorter(held, headrace):
    queue, message = held
    queue.hide(message, 5)
    headrace.advance(5)
    assert queue.bodies() == ["held"]


def test_zero_makes_it_visible_at_once(held):
    queue, message = held
    queue.hide(message, 0)
    assert queue.depth() == (1, 0, 0)
    assert queue.bodies() == ["held"]


def test_the_change_holds_for_this_receive_only(held, headrace):
    queue, message = held
    queue.hide(message, 5)
    headrace.advance(5)
    assert queue.bodies() == ["held"]
    headrace.advance(28)
    assert queue.bodies() == []
    headrace.advance(2)
    assert queue.bodies() == ["held"]


def test_again_and_again(held, headrace):
    queue, message = held
    for _ in range(10):
        headrace.advance(25)
        queue.hide(message, 30)
    assert queue.bodies() == []
    queue.delete(message)
    assert queue.depth() == (0, 0, 0)


def test_twelve_hours_in_all_since_it_was_received(held, headrace, refused):
    queue, message = held
    headrace.advance(25)
    queue.hide(message, 3_600)
    headrace.advance(3_000)
    reason = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
    with refused("InvalidParameterValue", f"Value 43200 for parameter VisibilityTimeout is invalid. Reason: {reason}"):
        queue.hide(message, 43_200)
    with refused("InvalidParameterValue"):
        queue.hide(message, 40_200)
    queue.hide(message, 40_000)


def test_the_twelve_hours_begin_anew_with_the_next_receive(held, headrace):
    queue, _ = held
    headrace.advance(3_000)
    (message,) = queue.receive()
    queue.hide(message, 43_100)


@pytest.mark.parametrize("timeout", [-1, 43_201])
def test_timeouts_out_of_range(held, timeout, refused):
    queue, message = held
    with refused("InvalidParameterValue"):
        queue.hide(message, timeout)


def test_a_deleted_message(held, refused):
    queue, message = held
    queue.delete(message)
    with refused("InvalidParameterValue", gone(message["ReceiptHandle"])):
        queue.hide(message, 10)


def test_an_expired_message(make_queue, headrace, refused):
    queue = make_queue("short", MessageRetentionPeriod="60")
    queue.send("a")
    (message,) = queue.receive(VisibilityTimeout=300)
    headrace.advance(120)
    with refused("InvalidParameterValue", gone(message["ReceiptHandle"])):
        queue.hide(message, 10)


def test_a_handle_from_before_a_purge(held, refused):
    queue, message = held
    queue.client.purge_queue(QueueUrl=queue.url)
    with refused("InvalidParameterValue", gone(message["ReceiptHandle"])):
        queue.hide(message, 10)


def test_a_handle_of_another_queue(held, make_queue, refused):
    _, message = held
    with refused("ReceiptHandleIsInvalid", status=404):
        make_queue("other").hide(message, 10)
