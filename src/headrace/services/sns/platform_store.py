"""Platform applications and endpoints in metadata: finding them, changing them, and telling topics of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from headrace.context import Principal, Server
from headrace.errors import ServiceError
from headrace.primitives.metadata import Conflict, Entry, Write
from headrace.services.sns import limits, platform_rules, replay_policy, rules
from headrace.services.sns import platform_records as records
from headrace.services.sns.platform_records import Application, ApplicationRecord, EndpointRecord

log = structlog.get_logger()


class Device(msgspec.Struct, frozen=True):
    """An endpoint as it was found: which it is, its record, and that record's revision."""

    application: Application
    id: str
    record: EndpointRecord
    revision: int

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.application.endpoint_arn(self.id)

    @property
    def key(self) -> str:
        """The key of its record."""
        return self.application.endpoint_key(self.id)


def read_application_arn(arn: str) -> Application:
    """The application of an ARN. Raises InvalidParameter."""
    application = records.parse_application(arn)
    if application is None:
        raise rules.invalid_parameter("PlatformApplicationArn")
    return application


async def find_application(server: Server, application: Application) -> tuple[ApplicationRecord, int] | None:
    """An application's record and its revision; None when there is no such application."""
    entry = await server.engine.metadata.get(application.key)
    return (records.decode_application(entry.value), entry.revision) if entry is not None else None


async def require_application(server: Server, application: Application) -> tuple[ApplicationRecord, int]:
    """An application's record and its revision. Raises NotFound."""
    found = await find_application(server, application)
    if found is None:
        raise platform_rules.no_such_application()
    return found


async def find_device(server: Server, arn: str, parameter: str = "EndpointArn") -> Device | None:
    """The endpoint of an ARN; None when there is none. Raises InvalidParameter for what is no such ARN."""
    parsed = records.parse_endpoint(arn)
    if parsed is None:
        raise rules.invalid_parameter(parameter)
    application, endpoint_id = parsed
    entry = await server.engine.metadata.get(application.endpoint_key(endpoint_id))
    return None if entry is None else device_of(application, entry)


def device_of(application: Application, entry: Entry) -> Device:
    """The endpoint of a stored record."""
    return Device(application, entry.key.rpartition("/")[2], records.decode_endpoint(entry.value), entry.revision)


async def check_target(server: Server, arn: str, parameter: str = "TargetArn") -> None:
    """Raise what Publish raises for an endpoint that takes no messages.

    InvalidParameter for what is no endpoint's ARN or for one that there is not, EndpointDisabled and
    PlatformApplicationDisabled.
    """
    device = await find_device(server, arn, parameter)
    if device is None:
        # AWS: not NotFound.
        raise rules.invalid_parameter(f"{parameter} Reason: No endpoint found for the target arn specified")
    if not device.record.enabled:
        raise ServiceError("EndpointDisabled", "Endpoint is disabled")
    found = await find_application(server, device.application)
    if found is not None and found[0].attributes.get("Enabled") == "false":
        raise ServiceError("PlatformApplicationDisabled", "Platform application is disabled")


async def store_device(server: Server, device: Device, attributes: dict[str, str]) -> None:
    """Store what an endpoint has changed to. Raises Conflict when it changed meanwhile or another has the token."""
    application = device.application
    record = msgspec.structs.replace(device.record, attributes=attributes)
    writes = [Write(device.key, records.encode(record), device.revision)]
    if record.token != device.record.token:
        writes.append(Write(application.token_key(record.token), device.id.encode(), 0))
        writes.append(Write(application.token_key(device.record.token), None))
    await server.engine.metadata.apply(writes)


async def revise_device(server: Server, arn: str, change: Callable[[EndpointRecord], dict[str, str]]) -> bool:
    """Store what `change` makes of an endpoint's attributes, and tell the application's topic; whether it is there.

    Raises what `change` raises, and InvalidParameter when another endpoint has the token that it is to have.
    """
    for _ in range(limits.CONFLICT_RETRIES):
        device = await find_device(server, arn)
        if device is None:
            return False
        attributes = change(device.record)
        if attributes == device.record.attributes:
            return True
        try:
            await store_device(server, device, attributes)
        except Conflict:
            owner = await server.engine.metadata.get(device.application.token_key(attributes["Token"]))
            if owner is not None and owner.value.decode() != device.id:
                other = device.application.endpoint_arn(owner.value.decode())
                raise platform_rules.already_there(other) from None
            continue
        await announce(server, device.application, "EndpointUpdated", device.arn)
        return True
    raise rules.too_busy()


async def announce(server: Server, application: Application, event: str, endpoint_arn: str, **details: Any) -> None:
    """Publish an event to the topic that the application names for it, if it does.

    AWS: what an event says is JSON; a topic that cannot be published to loses it, and the call that caused it goes on.
    """
    found = await find_application(server, application)
    topic = found[0].attributes.get(f"Event{event}") if found is not None else None
    if not topic:
        return
    message = {
        **details,
        "EndpointArn": endpoint_arn,
        "EventType": event,
        "Resource": application.arn,
        "Service": "SNS",
        "Time": replay_policy.show(server.clock.now_ms()),
    }
    caller = Principal(application.account, "", "sns.amazonaws.com", f"arn:aws:iam::{application.account}:root")
    try:
        await server.invoke(
            "sns",
            "Publish",
            {"TopicArn": topic, "Subject": f"SNS {event}", "Message": json.dumps(message)},
            principal=caller,
            region=application.region,
        )
    except ServiceError as error:
        log.warning("an application event is lost", topic=topic, event_type=event, code=error.code)
