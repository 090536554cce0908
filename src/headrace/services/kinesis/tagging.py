"""Tags of streams, consumers and queues: AddTagsToStream and its companions, and TagResource and its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.primitives.metadata import Conflict
from headrace.services.kinesis import limits, records, resources, rules
from headrace.services.kinesis.records import TagsRecord
from headrace.services.kinesis.resources import Resource
from headrace.services.kinesis.state import State

_TAG_TEXT: Final = re.compile(r"[\w\s.:/=+\-@%]*").fullmatch


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise InvalidArgumentException unless a resource may have all these tags together."""
    if len(tags) > limits.TAGS:
        raise rules.invalid_argument(f"A resource has up to {limits.TAGS} tags; these would be {len(tags)}.")
    for key, value in tags.items():
        if key[:4].lower() == "aws:":
            raise rules.invalid_argument(f"Tag keys cannot begin with aws:, but {key} does.")
        if not _TAG_TEXT(key) or not _TAG_TEXT(value):
            raise rules.invalid_argument(
                f"The tag {key} has characters other than letters, digits, white space and _ . : / = + - % @."
            )


async def add_tags_to_stream(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Add `Tags` to a stream, over those of the same keys.

    Raises InvalidArgumentException, ResourceInUseException before it is ACTIVE, ResourceNotFoundException.
    """
    resource = await _usable(ctx, params)
    await _change(ctx, resource, lambda tags: {**tags, **params["Tags"]})
    return {}


async def remove_tags_from_stream(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Take the tags of `TagKeys` away; keys that the stream does not have are no error.

    Raises ResourceInUseException before it is ACTIVE, ResourceNotFoundException.
    """
    resource = await _usable(ctx, params)
    await _change(ctx, resource, lambda tags: _without(tags, params["TagKeys"]))
    return {}


async def list_tags_for_stream(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """A stream's tags by key, a page at a time: `Limit`, `ExclusiveStartTagKey`. Raises ResourceNotFoundException."""
    resource = await _stream(ctx, params)
    after: str = params.get("ExclusiveStartTagKey", "")
    tags = [item for item in sorted((await read_tags(ctx, resource)).items()) if item[0] > after]
    size: int = params.get("Limit", limits.TAGS)
    return {"Tags": _listed(dict(tags[:size])), "HasMoreTags": len(tags) > size}


async def tag_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Add `Tags` to the stream, consumer or queue of `ResourceARN`, over those of the same keys.

    Raises InvalidArgumentException, ResourceInUseException for a stream before it is ACTIVE, ResourceNotFoundException.
    """
    resource = await _changeable(ctx, params["ResourceARN"])
    await _change(ctx, resource, lambda tags: {**tags, **params["Tags"]})
    return {}


async def untag_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Take the tags of `TagKeys` from the stream, consumer or queue of `ResourceARN`; it need not have them.

    Raises InvalidArgumentException, ResourceInUseException for a stream before it is ACTIVE, ResourceNotFoundException.
    """
    resource = await _changeable(ctx, params["ResourceARN"])
    await _change(ctx, resource, lambda tags: _without(tags, params["TagKeys"]))
    return {}


async def list_tags_for_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The tags of the stream, consumer or queue of `ResourceARN`, by key.

    Raises InvalidArgumentException, ResourceNotFoundException.
    """
    resource = await resources.find(ctx, params["ResourceARN"])
    return {"Tags": _listed(dict(sorted((await read_tags(ctx, resource)).items())))}


async def read_tags(ctx: Context, resource: Resource) -> dict[str, str]:
    """A resource's tags."""
    entry = await ctx.server.engine.metadata.get(records.tags_key(*resource))
    return records.decode_tags(entry.value).tags if entry else {}


async def _usable(ctx: Context, params: dict[str, Any]) -> Resource:
    """The stream whose tags are to be changed. AWS: not before it is ACTIVE for the first time."""
    state: State = ctx.state
    stream = await state.usable(ctx, params)
    return Resource(stream.region, stream.account, f"stream/{stream.name}")


async def _changeable(ctx: Context, arn: str) -> Resource:
    """As `_usable`, for the resource of an ARN."""
    resource = await resources.find(ctx, arn)
    if resource.path.startswith("stream/") and "/consumer/" not in resource.path:
        await _usable(ctx, {"StreamARN": arn})
    return resource


async def _stream(ctx: Context, params: dict[str, Any]) -> Resource:
    state: State = ctx.state
    stream = await state.find(ctx, params)
    return Resource(stream.region, stream.account, f"stream/{stream.name}")


async def _change(ctx: Context, resource: Resource, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    metadata = ctx.server.engine.metadata
    key = records.tags_key(*resource)
    for _ in range(limits.CONFLICT_RETRIES):
        entry = await metadata.get(key)
        tags = change(records.decode_tags(entry.value).tags if entry else {})
        check_tags(tags)
        try:
            await metadata.put(key, records.encode(TagsRecord(tags=tags)), expected=entry.revision if entry else 0)
        except Conflict:
            continue
        return
    raise ServiceError("ServiceUnavailable", "Too many changes to these tags at once; try again.", status=503)


def _without(tags: dict[str, str], keys: list[str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key not in keys}


def _listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
