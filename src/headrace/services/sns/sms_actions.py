"""The actions on SMS settings, on numbers that opted out, and on the numbers that messages come from."""

from __future__ import annotations

from typing import Any

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.services.sns import limits, rules, sms_records, sms_rules, sms_store


async def set_sms_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Set some of the account's SMS `attributes` in this region. Raises InvalidParameter."""
    sms_rules.check_settings(params["attributes"])
    await sms_store.change_settings(ctx.server, ctx.region, ctx.account, params["attributes"])
    return {}


async def get_sms_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The account's SMS `attributes` that were set, or of these the ones that are named."""
    stored = await sms_store.settings(ctx.server, ctx.region, ctx.account)
    wanted = params.get("attributes")
    return {"attributes": {name: value for name, value in stored.items() if not wanted or name in wanted}}


async def check_if_phone_number_is_opted_out(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Whether the owner of `phoneNumber` wants no messages. Raises InvalidParameter."""
    number = sms_rules.check_number(params["phoneNumber"])
    return {"isOptedOut": await sms_store.has_opted_out(ctx.server, number)}


async def list_phone_numbers_opted_out(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The numbers whose owners want no messages, a hundred at a time."""
    after = rules.decode_token(params.get("nextToken"))
    prefix = sms_records.OPT_OUT_PREFIX
    found: list[str] = []
    while len(found) <= limits.PAGE:
        entries = await ctx.server.engine.metadata.list(
            prefix, after=prefix + after if after else "", max_entries=limits.PAGE + 1
        )
        if not entries:
            break
        after = entries[-1].key.removeprefix(prefix)
        found.extend(
            entry.key.removeprefix(prefix) for entry in entries if sms_records.decode_opt_out(entry.value).opted_out
        )
    result: dict[str, Any] = {"phoneNumbers": found[: limits.PAGE]}
    if len(found) > limits.PAGE:
        result["nextToken"] = rules.encode_token(found[limits.PAGE - 1])
    return result


async def opt_in_phone_number(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Have `phoneNumber` get messages again. AWS: once in thirty days. Raises InvalidParameter."""
    number = sms_rules.check_number(params["phoneNumber"])
    if not await sms_store.opt_in(ctx.server, number):
        raise rules.invalid_parameter("PhoneNumber Reason: a number can be opted in only once every 30 days")
    return {}


async def list_origination_numbers(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The numbers that messages come from: the one that the server was started with, if it was."""
    rules.decode_token(params.get("NextToken"))
    number = ctx.server.channels.sms_number
    if not number:
        return {"PhoneNumbers": []}
    known = {
        "PhoneNumber": number,
        "Status": "Active",
        "RouteType": "Transactional",
        "NumberCapabilities": ["SMS"],
    }
    return {"PhoneNumbers": [known]}


async def get_sms_sandbox_account_status(
    ctx: Context,
    params: dict[str, Any],  # noqa: ARG001 - all operations take them; this one has none
) -> dict[str, Any]:
    """Whether messages go to verified numbers only (`--sms-sandbox`)."""
    return {"IsInSandbox": ctx.server.channels.sms_sandbox}


def opted_out(number: str) -> ServiceError:
    """AWS's OptedOut."""
    return ServiceError("OptedOut", f"The phone number {number} is opted out")
