"""ListShards: its filters, and the tokens that lead from page to page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.services.kinesis import limits, rules, streams
from headrace.services.kinesis.records import ShardRecord
from headrace.services.kinesis.state import State, Stream

_NOT_WITH_TOKEN: Final = (
    "StreamName",
    "StreamARN",
    "StreamId",
    "StreamCreationTimestamp",
    "ExclusiveStartShardId",
    "ShardFilter",
)


class Page(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What a NextToken of ListShards stands for: the stream, after which shard to go on, with which filter."""

    region: str
    account: str
    stream_name: str
    stream_id: str
    after: int
    issued_ms: int
    kind: str = "FROM_TRIM_HORIZON"
    at_ms: int = 0


_decode_page: Final = msgspec.msgpack.Decoder(Page).decode


async def list_shards(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """A stream's shards, those that `ShardFilter` lets pass, a page of `MaxResults` at a time; NextToken goes on.

    Raises ResourceNotFoundException, ResourceInUseException unless the stream is ACTIVE or UPDATING,
    InvalidArgumentException, and ExpiredNextTokenException after five minutes.
    """
    state: State = ctx.state
    now_ms = ctx.server.clock.now_ms()
    token: str | None = params.get("NextToken")
    if token is None:
        stream = await state.usable(ctx, params)
        _check_creation(stream, params.get("StreamCreationTimestamp"))
        page = _first_page(stream, params, now_ms)
    else:
        page = _read_page(params, token, now_ms)
        found = await state.get(page.region, page.account, page.stream_name)
        if found is None or found.record.stream_id != page.stream_id:
            raise rules.no_such_stream(page.stream_name, page.account)
        stream = found
    size = min(params.get("MaxResults", limits.LISTED_SHARDS), limits.LISTED_SHARDS)
    wanted = _filter(stream, page, now_ms)
    numbers = [
        number for number, shard in sorted(stream.shards.items()) if number > page.after and wanted(shard.record)
    ]
    result: dict[str, Any] = {"Shards": [streams.describe_shard(stream, number) for number in numbers[:size]]}
    if len(numbers) > size:
        following = msgspec.structs.replace(page, after=numbers[size - 1], issued_ms=now_ms)
        result["NextToken"] = rules.encode_opaque(following)
    return result


def _check_creation(stream: Stream, created_s: float | None) -> None:
    """AWS: StreamCreationTimestamp tells a stream from an earlier one of its name."""
    if created_s is not None and int(created_s) != stream.record.created_at_ms // 1000:
        raise rules.no_such_stream(stream.name, stream.account)


def _read_page(params: dict[str, Any], token: str, now_ms: int) -> Page:
    for name in _NOT_WITH_TOKEN:
        if name in params:
            raise rules.invalid_argument(f"NextToken and {name} cannot be provided together.")
    page: Page = rules.decode_opaque(token, _decode_page)
    if now_ms - page.issued_ms > limits.TOKEN_LIFE_MS:
        raise ServiceError("ExpiredNextTokenException", "The NextToken has expired; it lives for 5 minutes.")
    return page


def _first_page(stream: Stream, params: dict[str, Any], now_ms: int) -> Page:
    chosen: dict[str, Any] = params.get("ShardFilter") or {"Type": "FROM_TRIM_HORIZON"}
    kind: str = chosen["Type"]
    after, at_ms = _shard_number(params.get("ExclusiveStartShardId")), 0
    if ("ShardId" in chosen) != (kind == "AFTER_SHARD_ID"):
        raise rules.invalid_argument("ShardFilter has a ShardId with the type AFTER_SHARD_ID, and with no other.")
    if ("Timestamp" in chosen) != (kind in {"AT_TIMESTAMP", "FROM_TIMESTAMP"}):
        raise rules.invalid_argument(
            "ShardFilter has a Timestamp with the types AT_TIMESTAMP and FROM_TIMESTAMP, and with no other."
        )
    if "ShardId" in chosen:
        after = max(after, _shard_number(chosen["ShardId"]))
    if "Timestamp" in chosen:
        at_ms = round(chosen["Timestamp"] * 1000)
        if at_ms > now_ms:
            raise rules.invalid_argument(f"The Timestamp of the ShardFilter, {at_ms} ms, is in the future.")
    return Page(stream.region, stream.account, stream.name, stream.record.stream_id, after, now_ms, kind, at_ms)


def _shard_number(shard_id: str | None) -> int:
    if shard_id is None:
        return -1
    number = rules.parse_shard_id(shard_id)
    if number is None:
        raise rules.invalid_argument(f"{shard_id} is not the id of a shard.")
    return number


def _filter(stream: Stream, page: Page, now_ms: int) -> Callable[[ShardRecord], bool]:
    """Which shards a page's filter lets pass. AWS: what is asked for before the trim horizon begins there."""
    horizon_ms = max(now_ms - stream.record.retention_h * limits.HOUR_MS, stream.record.created_at_ms)
    at_ms = max(page.at_ms, horizon_ms)
    match page.kind:
        case "AT_LATEST":
            return lambda shard: not shard.closed_at_ms
        case "AT_TRIM_HORIZON" | "AT_TIMESTAMP":
            return lambda shard: shard.opened_at_ms <= at_ms and _is_open_at(shard, at_ms)
        case "FROM_TIMESTAMP":
            return lambda shard: _is_open_at(shard, at_ms)
        case _:
            return lambda _shard: True


def _is_open_at(shard: ShardRecord, at_ms: int) -> bool:
    return not shard.closed_at_ms or shard.closed_at_ms >= at_ms
