"""SMS in metadata: settings, spending, opt-outs and the sandbox, as the actions and the transport need them."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.context import Server
from headrace.primitives.metadata import Conflict
from headrace.services.sns import endpoints, limits, rules, sms_records, sms_rules
from headrace.services.sns.sms_records import OptOutRecord, SandboxRecord, SettingsRecord, SpendingRecord


async def settings(server: Server, region: str, account: str) -> dict[str, str]:
    """What an account has set with SetSMSAttributes."""
    entry = await server.engine.metadata.get(sms_records.settings_key(region, account))
    return {} if entry is None else sms_records.decode_settings(entry.value).attributes


async def change_settings(server: Server, region: str, account: str, given: Mapping[str, str]) -> None:
    """Set some; an empty value takes one away."""
    key, metadata = sms_records.settings_key(region, account), server.engine.metadata
    for _ in range(limits.CONFLICT_RETRIES):
        entry = await metadata.get(key)
        stored = {} if entry is None else sms_records.decode_settings(entry.value).attributes
        merged = {name: value for name, value in {**stored, **given}.items() if value}
        try:
            await metadata.put(
                key,
                sms_records.encode(SettingsRecord(attributes=merged)),
                expected=0 if entry is None else entry.revision,
            )
        except Conflict:
            continue
        return
    raise rules.too_busy()


async def may_spend(server: Server, region: str, account: str, amount: int) -> bool:
    """Whether a message of that price is within the month's limit.

    AWS has a limit of a dollar a month until it is raised; here there is none until one is set.
    """
    limit = (await settings(server, region, account)).get("MonthlySpendLimit")
    if limit is None:
        return True
    entry = await server.engine.metadata.get(sms_records.spending_key(region, account, server.clock.now_ms()))
    spent = 0 if entry is None else sms_records.decode_spending(entry.value).spent
    return spent + amount <= int(limit) * sms_rules.UNITS_PER_DOLLAR


async def spend(server: Server, region: str, account: str, amount: int) -> None:
    """Count what a message that was sent costs. AWS: the limit may be passed by what is under way just then."""
    key = sms_records.spending_key(region, account, server.clock.now_ms())
    metadata = server.engine.metadata
    for _ in range(limits.CONFLICT_RETRIES):
        entry = await metadata.get(key)
        spent = amount + (0 if entry is None else sms_records.decode_spending(entry.value).spent)
        try:
            await metadata.put(
                key,
                sms_records.encode(SpendingRecord(spent=spent)),
                expected=0 if entry is None else entry.revision,
            )
        except Conflict:
            continue
        return


async def opt_out(server: Server, number: str) -> None:
    """A person wants no more messages."""
    known = await _opt_out_record(server, number)
    record = OptOutRecord(opted_out=True, opted_in_at_ms=known.opted_in_at_ms if known is not None else 0)
    await server.engine.metadata.put(sms_records.opt_out_key(number), sms_records.encode(record))


async def answered(server: Server, number: str, text: str) -> None:
    """A person has sent something. AWS: STOP, and words like it, opt out."""
    if endpoints.is_phone_number(number) and sms_rules.is_stop(text):
        await opt_out(server, number)


async def has_opted_out(server: Server, number: str) -> bool:
    """Whether a person wants no messages."""
    known = await _opt_out_record(server, number)
    return known is not None and known.opted_out


async def opt_in(server: Server, number: str) -> bool:
    """Have a number get messages again; False when that was done within the last thirty days already."""
    known = await _opt_out_record(server, number)
    if known is None or not known.opted_out:
        return True
    now_ms = server.clock.now_ms()
    if known.opted_in_at_ms and now_ms < known.opted_in_at_ms + limits.SMS_OPT_IN_MS:
        return False
    record = OptOutRecord(opted_out=False, opted_in_at_ms=now_ms)
    await server.engine.metadata.put(sms_records.opt_out_key(number), sms_records.encode(record))
    return True


async def _opt_out_record(server: Server, number: str) -> OptOutRecord | None:
    entry = await server.engine.metadata.get(sms_records.opt_out_key(number))
    return None if entry is None else sms_records.decode_opt_out(entry.value)


async def sandboxed(server: Server, region: str, account: str, number: str) -> tuple[SandboxRecord, int] | None:
    """A number of the sandbox and its record's revision; None when it is not in it."""
    entry = await server.engine.metadata.get(sms_records.sandbox_key(region, account, number))
    return None if entry is None else (sms_records.decode_sandbox(entry.value), entry.revision)
