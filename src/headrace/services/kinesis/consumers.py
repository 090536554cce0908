"""The actions on consumers with enhanced fan-out: register, describe, list and deregister them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.primitives.metadata import Conflict, Write
from headrace.services.kinesis import consumer_limits, consumer_records, limits, queue_limits, records, rules, tagging
from headrace.services.kinesis.accounts import commitment
from headrace.services.kinesis.consumer_records import ConsumerRecord
from headrace.services.kinesis.fan_out import Consumer, FanOut
from headrace.services.kinesis.records import TagsRecord
from headrace.services.kinesis.state import State, Stream


class Page(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """What a NextToken of ListStreamConsumers stands for: the stream, and after which consumer to go on."""

    region: str
    account: str
    stream_name: str
    stream_id: str
    after: str
    issued_ms: int


_decode_page: Final = msgspec.msgpack.Decoder(Page).decode


async def register_stream_consumer(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Make a consumer `ConsumerName` of the stream, with `Tags`. It is CREATING then.

    Raises ResourceNotFoundException, ResourceInUseException when there is one of this name or the stream is not ready,
    LimitExceededException for more than the stream may have, InvalidArgumentException.
    """
    state: State = ctx.state
    name: str = params["ConsumerName"]
    tags: dict[str, str] = params.get("Tags") or {}
    tagging.check_tags(tags)
    stream = await state.usable(ctx, params)
    now_ms = ctx.server.clock.now_ms()
    await _check_limits(ctx, stream, now_ms, name)
    record = ConsumerRecord(name=name, created_at_ms=now_ms)
    place = (stream.region, stream.account)
    writes = [
        Write(records.consumer_key(*place, stream.name, name), consumer_records.encode(record), 0),
        # With the stream as it was found, lest a consumer is left of one that is deleted meanwhile.
        Write(stream.key, records.encode(stream.record), stream.revision),
    ]
    if tags:
        key = records.tags_key(*place, consumer_records.resource_of(stream.name, record))
        writes.append(Write(key, records.encode(TagsRecord(tags=tags))))
    await _store(ctx, stream, writes, name)
    return {"Consumer": _describe(stream, record, now_ms)}


async def _store(ctx: Context, stream: Stream, writes: list[Write], name: str) -> None:
    """Store a new consumer. Raises ResourceInUseException when there is one of its name already."""
    metadata = ctx.server.engine.metadata
    for _ in range(limits.CONFLICT_RETRIES):
        if stream.gone:
            raise rules.no_such_stream(stream.name, stream.account)
        writes[1] = Write(stream.key, records.encode(stream.record), stream.revision)
        try:
            await metadata.apply(writes)
        except Conflict:
            if await metadata.get(writes[0].key) is not None:
                raise _name_in_use(stream, name) from None
            continue
        return
    raise ServiceError("ServiceUnavailable", "Too many changes to this stream at once; try again.", status=503)


def _name_in_use(stream: Stream, name: str) -> ServiceError:
    return rules.in_use(f"Consumer {name} under stream {stream.name} under account {stream.account} already exists.")


async def _check_limits(ctx: Context, stream: Stream, now_ms: int, name: str) -> None:
    """Raise ResourceInUseException for a name that is taken, LimitExceededException for one consumer too many.

    AWS: queues count as consumers; with On-demand Advantage there may be more of them.
    """
    fan_out: FanOut = ctx.state.fan_out
    found = await fan_out.consumers(stream)
    if name in found:
        raise _name_in_use(stream, name)
    most = queue_limits.CONSUMERS
    if stream.record.on_demand and (await commitment(ctx))["Status"] != "DISABLED":
        most = queue_limits.CONSUMERS_ADVANTAGE
    count = len(found) + await ctx.state.stream_queues.count(stream.region, stream.account, stream.name)
    if count >= most:
        raise rules.limit_exceeded(
            f"Stream {stream.name} has {count} registered consumers, queues included; {most} are the most."
        )
    creating = sum(record.status(now_ms) == "CREATING" for record in found.values())
    if ctx.server.quotas.throughput and creating >= consumer_limits.CONSUMERS_CREATING:
        raise rules.limit_exceeded(
            f"{creating} consumers of stream {stream.name} are being created; "
            f"up to {consumer_limits.CONSUMERS_CREATING} may be."
        )


def _describe(stream: Stream, record: ConsumerRecord, now_ms: int) -> dict[str, Any]:
    """AWS's Consumer."""
    return {
        "ConsumerName": record.name,
        "ConsumerARN": consumer_records.consumer_arn(stream.region, stream.account, stream.name, record),
        "ConsumerStatus": record.status(now_ms),
        "ConsumerCreationTimestamp": float(record.created_s),
    }


async def describe_stream_consumer(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The consumer that `ConsumerARN`, or `StreamARN` and `ConsumerName`, name.

    Raises ResourceNotFoundException, InvalidArgumentException.
    """
    consumer = await find(ctx, params)
    described = _describe(consumer.stream, consumer.record, ctx.server.clock.now_ms())
    return {"ConsumerDescription": described | {"StreamARN": consumer.stream.arn}}


async def deregister_stream_consumer(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Give up the consumer that `ConsumerARN`, or `StreamARN` and `ConsumerName`, name; its subscriptions end.

    AWS: it is DELETING for a while; doing so again meanwhile changes nothing. Raises ResourceNotFoundException,
    InvalidArgumentException.
    """
    fan_out: FanOut = ctx.state.fan_out
    await fan_out.deregister(await find(ctx, params))
    return {}


async def find(ctx: Context, params: dict[str, Any]) -> Consumer:
    """The consumer that is addressed. AWS: all ways of addressing may be used together when they agree.

    Raises ResourceNotFoundException, InvalidArgumentException.
    """
    state: State = ctx.state
    name: str | None = params.get("ConsumerName")
    address: dict[str, Any] = {key: params[key] for key in ("StreamARN", "StreamId") if key in params}
    created_s: int | None = None
    arn: str | None = params.get("ConsumerARN")
    if arn is not None:
        region, account, path = rules.parse_resource_arn(arn)
        stream_name, _, consumer = path.removeprefix("stream/").partition("/consumer/")
        named, _, created = consumer.rpartition(":")
        stream_arn = rules.stream_arn(region, account, stream_name)
        if not named or name not in (None, named) or address.get("StreamARN", stream_arn) != stream_arn:
            raise rules.invalid_argument(
                f"The ConsumerARN {arn} does not go with the StreamARN and ConsumerName given."
            )
        name, created_s, address["StreamARN"] = named, int(created), stream_arn
    if name is None or not address:
        raise rules.invalid_argument("Either ConsumerARN, or StreamARN and ConsumerName, must be provided.")
    stream = await state.find(ctx, address)
    record = (await state.fan_out.consumers(stream)).get(name)
    if record is None or created_s not in (None, record.created_s):
        raise rules.not_found(f"Consumer {arn or name} under stream {stream.name}, account {stream.account} not found.")
    return Consumer(stream, record)


async def list_stream_consumers(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The stream's consumers by name, a page of `MaxResults` at a time; NextToken goes on.

    Raises ResourceNotFoundException, InvalidArgumentException, and ExpiredNextTokenException after five minutes.
    """
    state: State = ctx.state
    now_ms = ctx.server.clock.now_ms()
    stream = await state.find(ctx, params)
    created_s: float | None = params.get("StreamCreationTimestamp")
    if created_s is not None and int(created_s) != stream.record.created_at_ms // 1000:
        raise rules.no_such_stream(stream.name, stream.account)
    after = ""
    if (token := params.get("NextToken")) is not None:
        if created_s is not None:
            raise rules.invalid_argument("NextToken and StreamCreationTimestamp cannot be provided together.")
        after = _read_page(token, stream, now_ms)
    size = min(params.get("MaxResults", consumer_limits.LIST_CONSUMERS), consumer_limits.LIST_CONSUMERS)
    found = [record for name, record in (await state.fan_out.consumers(stream)).items() if name > after]
    result: dict[str, Any] = {"Consumers": [_describe(stream, record, now_ms) for record in found[:size]]}
    if len(found) > size:
        place = (stream.region, stream.account, stream.name, stream.record.stream_id)
        result["NextToken"] = rules.encode_opaque(Page(*place, found[size - 1].name, now_ms))
    return result


def _read_page(token: str, stream: Stream, now_ms: int) -> str:
    """After which consumer a page begins."""
    page: Page = rules.decode_opaque(token, _decode_page)
    if (page.region, page.account, page.stream_id) != (stream.region, stream.account, stream.record.stream_id):
        raise rules.invalid_argument("The NextToken is none of this stream.")
    if now_ms - page.issued_ms > consumer_limits.TOKEN_LIFE_MS:
        raise ServiceError("ExpiredNextTokenException", "The NextToken has expired; it lives for 5 minutes.")
    return page.after
