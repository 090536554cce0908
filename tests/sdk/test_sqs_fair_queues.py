"""Fair queues: MessageGroupId on standard queues."""

import pytest


def test_the_group_is_returned(queue):
    queue.send("a", MessageGroupId="tenant-1")
    (message,) = queue.receive(AttributeNames=["All"])
    assert message["Attributes"]["MessageGroupId"] == "tenant-1"
    assert not {"SequenceNumber", "MessageDeduplicationId"} & set(message["Attributes"])


def test_a_group_does_not_lock_or_order_a_standard_queue(queue):
    for number in range(3):
        queue.send(str(number), MessageGroupId="tenant-1")
    assert len(queue.bodies(1) + queue.bodies(1) + queue.bodies(1)) == 3


def test_groups_in_a_batch(queue):
    queue.send_batch({"Id": "1", "MessageBody": "a", "MessageGroupId": "x"}, {"Id": "2", "MessageBody": "b"})
    groups = {m["Body"]: m.get("Attributes", {}) for m in queue.receive(AttributeNames=["MessageGroupId"])}
    assert groups == {"a": {"MessageGroupId": "x"}, "b": {}}


def test_a_quiet_tenant_does_not_wait_for_a_noisy_one(queue):
    for start in range(0, 100, 10):
        queue.send_batch(
            *({"Id": str(n), "MessageBody": "noisy", "MessageGroupId": "noisy"} for n in range(start, start + 10))
        )
    for _ in range(4):
        assert queue.bodies(10) == ["noisy"] * 10
    for name in ("quiet-1", "quiet-2"):
        queue.send(name, MessageGroupId=name)
    assert {"quiet-1", "quiet-2"} <= set(queue.bodies(10))


def test_the_noisy_tenant_still_uses_what_is_free(queue):
    for start in range(0, 30, 10):
        queue.send_batch(
            *({"Id": str(n), "MessageBody": "noisy", "MessageGroupId": "noisy"} for n in range(start, start + 10))
        )
    assert [len(queue.bodies(10)) for _ in range(4)] == [10, 10, 10, 0]


@pytest.mark.parametrize("group", ["g" * 129, "two words", "ü"])
def test_groups_that_are_not_allowed(queue, group, refused):
    message = (
        f"Value {group} for parameter MessageGroupId is invalid. Reason: "
        "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length."
    )
    with refused("InvalidParameterValue", message):
        queue.send("a", MessageGroupId=group)
