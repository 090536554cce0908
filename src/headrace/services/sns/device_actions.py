"""The actions on platform endpoints: devices with an app on them that messages can be pushed to."""

from __future__ import annotations

import uuid
from typing import Any

from headrace.context import Context
from headrace.primitives.metadata import Conflict, Write
from headrace.services.sns import limits, platform_records, platform_rules, platform_store, rules
from headrace.services.sns.platform_records import EndpointRecord


async def create_platform_endpoint(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Register a device by its `Token` with an application, or find it: its ARN out.

    Takes `CustomUserData` and `Attributes`. AWS: a token that is registered already gives the same ARN if the
    attributes are the same, and an error that names it else. Raises NotFound and InvalidParameter.
    """
    application = platform_store.read_application_arn(params["PlatformApplicationArn"])
    await platform_store.require_application(ctx.server, application)
    wanted = platform_rules.new_endpoint(
        application.platform, params["Token"], params.get("CustomUserData"), params.get("Attributes") or {}
    )
    metadata = ctx.server.engine.metadata
    token_key = application.token_key(wanted["Token"])
    for _ in range(limits.CONFLICT_RETRIES):
        owner = await metadata.get(token_key)
        if owner is not None:
            arn = application.endpoint_arn(owner.value.decode())
            device = await platform_store.find_device(ctx.server, arn)
            if device is None:  # it was deleted just now
                continue
            if device.record.attributes != wanted:
                raise platform_rules.already_there(arn)
            return {"EndpointArn": arn}
        endpoint_id = str(uuid.uuid4())
        record = EndpointRecord(created_at_ms=ctx.server.clock.now_ms(), attributes=wanted)
        try:
            await metadata.apply(
                [
                    Write(application.endpoint_key(endpoint_id), platform_records.encode(record), 0),
                    Write(token_key, endpoint_id.encode(), 0),
                ]
            )
        except Conflict:
            continue
        arn = application.endpoint_arn(endpoint_id)
        await platform_store.announce(ctx.server, application, "EndpointCreated", arn)
        return {"EndpointArn": arn}
    raise rules.too_busy()


async def get_endpoint_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """An endpoint's attributes. Raises NotFound and InvalidParameter."""
    device = await platform_store.find_device(ctx.server, params["EndpointArn"])
    if device is None:
        raise platform_rules.no_such_endpoint()
    return {"Attributes": device.record.attributes}


async def set_endpoint_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Change some `Attributes` of an endpoint: a new Token, Enabled again, other CustomUserData.

    Raises NotFound and InvalidParameter.
    """
    arn, given = params["EndpointArn"], params["Attributes"]
    parsed = platform_records.parse_endpoint(arn)
    platform = parsed[0].platform if parsed is not None else ""

    def change(record: EndpointRecord) -> dict[str, str]:
        return platform_rules.change_endpoint(platform, record.attributes, given)

    if not await platform_store.revise_device(ctx.server, arn, change):
        raise platform_rules.no_such_endpoint()
    return {}


async def delete_endpoint(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Delete an endpoint. AWS: one that is not there is no error; subscriptions of it stay. Raises InvalidParameter."""
    for _ in range(limits.CONFLICT_RETRIES):
        device = await platform_store.find_device(ctx.server, params["EndpointArn"])
        if device is None:
            return {}
        application = device.application
        try:
            await ctx.server.engine.metadata.apply(
                [Write(device.key, None, device.revision), Write(application.token_key(device.record.token), None)]
            )
        except Conflict:
            continue
        await platform_store.announce(ctx.server, application, "EndpointDeleted", device.arn)
        return {}
    raise rules.too_busy()


async def list_endpoints_by_platform_application(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """An application's endpoints with their attributes, a hundred at a time. Raises NotFound and InvalidParameter."""
    application = platform_store.read_application_arn(params["PlatformApplicationArn"])
    await platform_store.require_application(ctx.server, application)
    prefix = application.endpoint_key("")
    after = rules.decode_token(params.get("NextToken"))
    entries = await ctx.server.engine.metadata.list(
        prefix, after=prefix + after if after else "", max_entries=limits.PAGE + 1
    )
    devices = [platform_store.device_of(application, entry) for entry in entries[: limits.PAGE]]
    result: dict[str, Any] = {
        "Endpoints": [{"EndpointArn": each.arn, "Attributes": each.record.attributes} for each in devices]
    }
    if len(entries) > limits.PAGE:
        result["NextToken"] = rules.encode_token(devices[-1].id)
    return result
