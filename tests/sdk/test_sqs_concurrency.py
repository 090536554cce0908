"""Many producers and consumers at once: nothing lost, nothing received twice, groups in order."""

import collections
import concurrent.futures
import threading

import pytest

MESSAGES = 400
PRODUCERS = 4
CONSUMERS = 6

pytestmark = pytest.mark.parametrize("protocol", ["json"])


def produce(queue, producer, entry):
    """Send this producer's share in batches of ten."""
    numbers = range(producer, MESSAGES, PRODUCERS)
    for start in range(0, len(numbers), 10):
        answer = queue.send_batch(
            *({"Id": str(number), "MessageBody": str(number)} | entry(number) for number in numbers[start : start + 10])
        )
        assert not answer.get("Failed")


def consume(queue, received, done):
    """Receive and delete until everything has been received."""
    while not done.is_set():
        messages = queue.receive(10, WaitTimeSeconds=1, AttributeNames=["MessageGroupId"])
        received.extend(messages)
        entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
        if entries:
            answer = queue.client.delete_message_batch(QueueUrl=queue.url, Entries=entries)
            assert len(answer["Successful"]) == len(entries)
        if len(received) >= MESSAGES:
            done.set()


def run(queue, entry):
    """Produce and consume at the same time; the messages as they were received, each consumer's after another."""
    done = threading.Event()
    received = []
    with concurrent.futures.ThreadPoolExecutor(PRODUCERS + CONSUMERS) as pool:
        work = [pool.submit(consume, queue, received, done) for _ in range(CONSUMERS)]
        work += [pool.submit(produce, queue, producer, entry) for producer in range(PRODUCERS)]
        for each in work:
            each.result()
    return received


def test_a_standard_queue(queue):
    received = run(queue, lambda number: {})
    assert collections.Counter(m["Body"] for m in received) == {str(number): 1 for number in range(MESSAGES)}
    assert queue.depth() == (0, 0, 0)


def test_a_fifo_queue(make_queue):
    queue = make_queue(
        "busy.fifo",
        FifoQueue="true",
        ContentBasedDeduplication="true",
        DeduplicationScope="messageGroup",
        FifoThroughputLimit="perMessageGroupId",
    )
    received = run(queue, lambda number: {"MessageGroupId": f"producer-{number % PRODUCERS}"})
    assert collections.Counter(m["Body"] for m in received) == {str(number): 1 for number in range(MESSAGES)}
    groups = collections.defaultdict(list)
    for message in received:
        groups[message["Attributes"]["MessageGroupId"]].append(int(message["Body"]))
    assert groups == {f"producer-{p}": list(range(p, MESSAGES, PRODUCERS)) for p in range(PRODUCERS)}
    assert queue.depth() == (0, 0, 0)
