"""The actions on the SMS sandbox: numbers that have to be verified before anything is sent to them."""

from __future__ import annotations

import hmac
import secrets
import uuid
from typing import Any, Final

import msgspec

from headrace.context import Context
from headrace.errors import ServiceError
from headrace.primitives.metadata import Conflict
from headrace.services.sns import deliveries, limits, rules, sms_actions, sms_records, sms_rules, sms_store
from headrace.services.sns.records import Delivery, Publication
from headrace.services.sns.sms_records import SandboxRecord
from headrace.services.sns.state import State

_CODE_DIGITS: Final = 6
_PAGE: Final = 100
_DAY_MS: Final = 86_400_000

_TEXTS: Final = {
    "de": "Ihr Bestätigungscode lautet {code}. Er gilt 24 Stunden.",
    "en": "Your verification code is {code}. It is valid for 24 hours.",
    "es": "Su código de verificación es {code}. Es válido durante 24 horas.",
    "fr": "Votre code de vérification est {code}. Il est valable 24 heures.",
    "it": "Il suo codice di verifica è {code}. È valido per 24 ore.",
    "ja": "確認コードは {code} です。有効期限は24時間です。",
    "kr": "인증 코드는 {code}입니다. 24시간 동안 유효합니다.",
    "pt": "Seu código de verificação é {code}. Ele é válido por 24 horas.",
    "zh": "您的验证码是 {code},24 小时内有效。",
}


async def create_sms_sandbox_phone_number(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Add `PhoneNumber` to the sandbox and send it a code, in `LanguageCode`.

    Once more sends a new code. Raises InvalidParameter, OptedOut for a number that opted out, UserError for one that
    is verified already and for one number too many, and Throttled for one that was sent five codes within a day.
    """
    number = sms_rules.check_number(params["PhoneNumber"])
    if await sms_store.has_opted_out(ctx.server, number):
        raise sms_actions.opted_out(number)
    now_ms = ctx.server.clock.now_ms()
    code = "".join(secrets.choice("0123456789") for _ in range(_CODE_DIGITS))
    for _ in range(limits.CONFLICT_RETRIES):
        found = await sms_store.sandboxed(ctx.server, ctx.region, ctx.account, number)
        if found is None:
            await _check_room(ctx)
        record, revision = found or (SandboxRecord(created_at_ms=now_ms), 0)
        if record.verified:
            raise ServiceError("UserError", f"The phone number {number} is verified already")
        sent_at_ms = tuple(at_ms for at_ms in record.codes_at_ms if at_ms > now_ms - _DAY_MS)
        if len(sent_at_ms) >= limits.SANDBOX_CODES_A_DAY:
            raise ServiceError("Throttled", f"{number} was sent {len(sent_at_ms)} codes within a day", status=429)
        changed = msgspec.structs.replace(record, code=code, codes_at_ms=(*sent_at_ms, now_ms), wrong=0)
        key = sms_records.sandbox_key(ctx.region, ctx.account, number)
        try:
            await ctx.server.engine.metadata.put(key, sms_records.encode(changed), expected=revision)
        except Conflict:
            continue
        await _send_code(ctx, number, code, params.get("LanguageCode") or "en-US")
        return {}
    raise rules.too_busy()


async def _check_room(ctx: Context) -> None:
    prefix = sms_records.sandbox_key(ctx.region, ctx.account, "")
    entries = await ctx.server.engine.metadata.list(prefix, max_entries=limits.SANDBOX_NUMBERS)
    if len(entries) >= limits.SANDBOX_NUMBERS:
        raise ServiceError("UserError", f"The sandbox takes {limits.SANDBOX_NUMBERS} phone numbers")


async def _send_code(ctx: Context, number: str, code: str, language: str) -> None:
    state: State = ctx.state
    publication = Publication(
        message_id=str(uuid.uuid4()),
        topic_arn="",
        region=ctx.region,
        account=ctx.account,
        message=_TEXTS[language[:2]].format(code=code),
        published_at_ms=ctx.server.clock.now_ms(),
    )
    # A code is no notification: it goes to numbers that are not verified.
    delivery = Delivery(
        kind="SubscriptionConfirmation", publication=publication, protocol="sms", endpoint=number, token=code
    )
    await state.deliveries.send(deliveries.direct_queue(delivery), [delivery])


async def verify_sms_sandbox_phone_number(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Verify `PhoneNumber` with the `OneTimePassword` that it was sent, within a day and five attempts.

    Raises InvalidParameter, ResourceNotFound and VerificationException.
    """
    number = sms_rules.check_number(params["PhoneNumber"])
    for _ in range(limits.CONFLICT_RETRIES):
        found = await sms_store.sandboxed(ctx.server, ctx.region, ctx.account, number)
        if found is None:
            raise sms_rules.no_such_number(number)
        record, revision = found
        if record.verified:
            return {}
        right = _is_right(record, params["OneTimePassword"], ctx.server.clock.now_ms())
        if right:
            changed = msgspec.structs.replace(record, verified=True, code="")
        else:
            changed = msgspec.structs.replace(record, wrong=record.wrong + 1)
        key = sms_records.sandbox_key(ctx.region, ctx.account, number)
        try:
            await ctx.server.engine.metadata.put(key, sms_records.encode(changed), expected=revision)
        except Conflict:
            continue
        if not right:
            raise ServiceError("VerificationException", "The one-time password is wrong, or not valid any more")
        return {}
    raise rules.too_busy()


def _is_right(record: SandboxRecord, given: str, now_ms: int) -> bool:
    """Whether it is the code that was sent last, not too long ago, and not guessed at too often."""
    fresh = bool(record.codes_at_ms) and now_ms < record.codes_at_ms[-1] + limits.SANDBOX_CODE_MS
    allowed = record.wrong < limits.SANDBOX_ATTEMPTS
    return fresh and allowed and hmac.compare_digest(record.code.encode(), given.encode())


async def delete_sms_sandbox_phone_number(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Take `PhoneNumber` out of the sandbox.

    Raises InvalidParameter, ResourceNotFound, and UserError within a day of its verification.
    """
    number = sms_rules.check_number(params["PhoneNumber"])
    if await sms_store.sandboxed(ctx.server, ctx.region, ctx.account, number) is None:
        raise sms_rules.no_such_number(number)
    await ctx.server.engine.metadata.delete(sms_records.sandbox_key(ctx.region, ctx.account, number))
    return {}


async def list_sms_sandbox_phone_numbers(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The numbers of the sandbox, each `Verified` or `Pending`."""
    prefix = sms_records.sandbox_key(ctx.region, ctx.account, "")
    after = rules.decode_token(params.get("NextToken"))
    most: int = params.get("MaxResults") or _PAGE
    entries = await ctx.server.engine.metadata.list(prefix, after=prefix + after if after else "", max_entries=most + 1)
    numbers = [
        {
            "PhoneNumber": entry.key.removeprefix(prefix),
            "Status": "Verified" if sms_records.decode_sandbox(entry.value).verified else "Pending",
        }
        for entry in entries[:most]
    ]
    result: dict[str, Any] = {"PhoneNumbers": numbers}
    if len(entries) > most:
        result["NextToken"] = rules.encode_token(numbers[-1]["PhoneNumber"])
    return result
