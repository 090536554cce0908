"""What the tests of stream queues do most, written short."""

from __future__ import annotations

import asyncio
from typing import Any

from headrace.services.kinesis import queue_limits, topology
from headrace.services.kinesis.resharding import updating

TRIM_HORIZON = {"Type": "TRIM_HORIZON"}


async def make_queue(kinesis, name: str = "q", position: Any = None, *, stream: str = "s", **attributes: Any) -> str:
    """A queue that is ACTIVE, from the oldest record on unless told otherwise; its ARN."""
    configuration = {"StreamARN": kinesis.arn(stream), "StartingPosition": position or TRIM_HORIZON}
    options = {"QueueAttributes": attributes} if attributes else {}
    made = await kinesis("create_queue", QueueName=name, StreamConfigurationList=[configuration], **options)
    await kinesis.server.clock.advance(queue_limits.TRANSITION_MS)
    return made["QueueDescription"]["QueueARN"]


def dead_after(receives: int) -> dict[str, Any]:
    """The attribute that makes dead letters of records received that often."""
    return {"DeadLetterConfiguration": {"TargetType": "BUILT_IN", "MaxReceiveCount": receives}}


async def receive(kinesis, queue: str, limit: int = 10, **params: Any) -> list[dict[str, Any]]:
    """The records of one receive that must find some."""
    answer = await asyncio.wait_for(kinesis("receive_queue_records", QueueARN=queue, Limit=limit, **params), 10)
    return answer["QueueRecords"]


async def receive_dead(kinesis, queue: str, **params: Any) -> list[dict[str, Any]]:
    answer = await asyncio.wait_for(kinesis("receive_dead_letter_queue_records", QueueARN=queue, **params), 10)
    return answer["QueueRecords"]


async def nothing(kinesis, queue: str, operation: str = "receive_queue_records") -> bool:
    """Whether a receive finds nothing until its wait has passed."""
    receiving = asyncio.create_task(kinesis(operation, QueueARN=queue, WaitTimeSeconds=1))
    await kinesis.server.clock.advance(1_000)
    return (await receiving)["QueueRecords"] == []


async def take_all(kinesis, queue: str, count: int) -> list[bytes]:
    """Receive and acknowledge that many records; their data."""
    found: list[bytes] = []
    while len(found) < count:
        records = await receive(kinesis, queue)
        found += [record["Data"] for record in records]
        await acknowledge(kinesis, queue, records)
    return found


async def acknowledge(kinesis, queue: str, records: list[dict[str, Any]]) -> None:
    answer = await kinesis("acknowledge_queue_records", QueueARN=queue, Entries=handles(records))
    assert answer["Failed"] == []


def handles(records: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{"ReceiptHandle": record["ReceiptHandle"]} for record in records]


async def find(kinesis, queue: str):
    """The queue as the process knows it."""
    return await kinesis.state.stream_queues.find(queue)


async def depth(kinesis, queue: str) -> int:
    """Pointers that wait to be received."""
    return (await kinesis.server.engine.queues.depth(queue)).visible


async def reshard(kinesis, shards: int, name: str = "s") -> None:
    """Have a stream in on-demand mode split or merge its shards, as it does when it is hot or cold."""
    now_ms = kinesis.server.clock.now_ms()
    stream = await kinesis.state.get(kinesis.region, kinesis.account, name)

    def change(old):
        import msgspec

        return updating(msgspec.structs.replace(old, plan=topology.uniform_plan(old, shards)), now_ms)

    await kinesis.state.revise(stream, change)
    await kinesis.settle()


async def settled() -> None:
    """Let background tasks come to where they wait."""
    for _ in range(300):
        await asyncio.sleep(0)
