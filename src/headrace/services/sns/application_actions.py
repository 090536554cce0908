"""The actions on platform applications: what mobile apps are to be reached through which push service."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from headrace.context import Context
from headrace.primitives.metadata import Conflict, Write
from headrace.services.sns import limits, platform_records, platform_rules, platform_store, rules
from headrace.services.sns.platform_records import Application, ApplicationRecord
from headrace.services.sns.transports import push

_DEFAULTS: Final = {"Enabled": "true"}


async def create_platform_application(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Make an application, or find the one of this name and platform with these attributes: its ARN out.

    Takes `Name`, `Platform` and `Attributes`. Where the platform's messages go to the real service, the credentials
    have to be of the form that it gives out. Raises InvalidParameter.
    """
    name, platform, given = params["Name"], params["Platform"], params["Attributes"]
    platform_rules.check_new_application(name, platform, given)
    attributes = platform_rules.merge_application({}, given)
    push.check_credentials(ctx.server, platform, attributes)
    application = Application(ctx.region, ctx.account, platform, name)
    record = ApplicationRecord(created_at_ms=ctx.server.clock.now_ms(), attributes=attributes)
    for _ in range(limits.CONFLICT_RETRIES):
        found = await platform_store.find_application(ctx.server, application)
        if found is not None:
            if _DEFAULTS | found[0].attributes != _DEFAULTS | attributes:
                raise rules.invalid_parameter(
                    f"Attributes Reason: {application.arn} already exists with different attributes"
                )
            break
        try:
            await ctx.server.engine.metadata.put(application.key, platform_records.encode(record), expected=0)
        except Conflict:
            continue
        break
    return {"PlatformApplicationArn": application.arn}


async def get_platform_application_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """An application's attributes, without its credentials. Raises NotFound and InvalidParameter."""
    application = platform_store.read_application_arn(params["PlatformApplicationArn"])
    record, _ = await platform_store.require_application(ctx.server, application)
    return {"Attributes": _shown(application, record)}


def _shown(application: Application, record: ApplicationRecord) -> dict[str, str]:
    shown = platform_rules.show_application(application.platform, record.attributes)
    expiry = push.certificate_expiry(application.platform, record.attributes)
    return shown | ({"AppleCertificateExpiryDate": expiry} if expiry else {})


async def set_platform_application_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Change some `Attributes` of an application. Raises NotFound and InvalidParameter."""
    application = platform_store.read_application_arn(params["PlatformApplicationArn"])
    given: dict[str, str] = params["Attributes"]
    platform_rules.check_application(application.platform, given)
    for _ in range(limits.CONFLICT_RETRIES):
        record, revision = await platform_store.require_application(ctx.server, application)
        attributes = platform_rules.merge_application(record.attributes, given)
        platform_rules.check_new_application(application.name, application.platform, attributes)
        push.check_credentials(ctx.server, application.platform, attributes)
        changed = msgspec.structs.replace(record, attributes=attributes)
        try:
            await ctx.server.engine.metadata.put(application.key, platform_records.encode(changed), expected=revision)
        except Conflict:
            continue
        return {}
    raise rules.too_busy()


async def delete_platform_application(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Delete an application with its endpoints. AWS: one that is not there is no error. Raises InvalidParameter."""
    application = platform_store.read_application_arn(params["PlatformApplicationArn"])
    metadata = ctx.server.engine.metadata
    await metadata.delete(application.key)
    prefix = application.endpoint_key("")
    while entries := await metadata.list(prefix, max_entries=limits.DELETED_AT_ONCE):
        devices = [platform_store.device_of(application, entry) for entry in entries]
        await metadata.apply(
            [
                write
                for each in devices
                for write in (Write(each.key, None), Write(application.token_key(each.record.token), None))
            ]
        )
    return {}


async def list_platform_applications(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The caller's applications in this region with their attributes, a hundred at a time."""
    prefix = platform_records.applications_prefix(ctx.region, ctx.account)
    after = rules.decode_token(params.get("NextToken"))
    entries = await ctx.server.engine.metadata.list(
        prefix, after=prefix + after if after else "", max_entries=limits.PAGE + 1
    )
    found = []
    for entry in entries[: limits.PAGE]:
        platform, _, name = entry.key.removeprefix(prefix).partition("/")
        application = Application(ctx.region, ctx.account, platform, name)
        shown = _shown(application, platform_records.decode_application(entry.value))
        found.append({"PlatformApplicationArn": application.arn, "Attributes": shown})
    result: dict[str, Any] = {"PlatformApplications": found}
    if len(entries) > limits.PAGE:
        result["NextToken"] = rules.encode_token(entries[limits.PAGE - 1].key.removeprefix(prefix))
    return result
