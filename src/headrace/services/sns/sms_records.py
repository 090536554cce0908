"""What SNS stores of SMS: an account's settings and spending, numbers that opted out, and numbers of the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec


class SettingsRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """What SetSMSAttributes was given."""

    attributes: dict[str, str] = {}


class SpendingRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """What an account has spent on SMS in one month, in hundred-thousandths of a dollar."""

    spent: int


class OptOutRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """A number that opted out, and when it was last opted in again (0: never).

    `opted_out` False keeps the memory of the last opt-in, which AWS allows once in thirty days.
    """

    opted_out: bool
    opted_in_at_ms: int = 0


class SandboxRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """A number of the sandbox: verified, or waiting for the code that it was sent.

    `codes_at_ms` tells when codes were sent within the last day, `wrong` how many wrong ones came since the last.
    """

    created_at_ms: int
    verified: bool = False
    code: str = ""
    codes_at_ms: tuple[int, ...] = ()
    wrong: int = 0


encode: Final = msgspec.msgpack.Encoder().encode
decode_settings: Final = msgspec.msgpack.Decoder(SettingsRecord).decode
decode_spending: Final = msgspec.msgpack.Decoder(SpendingRecord).decode
decode_opt_out: Final = msgspec.msgpack.Decoder(OptOutRecord).decode
decode_sandbox: Final = msgspec.msgpack.Decoder(SandboxRecord).decode

OPT_OUT_PREFIX: Final = "sns/sms/optout/"


def settings_key(region: str, account: str) -> str:
    """The key of an account's SMS settings in a region."""
    return f"sns/{region}/{account}/sms/settings"


def spending_key(region: str, account: str, now_ms: int) -> str:
    """The key of what an account spends in the month of that time."""
    month = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m")
    return f"sns/{region}/{account}/sms/spending/{month}"


def opt_out_key(number: str) -> str:
    """The key of a number that opted out.

    It holds for all accounts: they all send from the number that the person answered with STOP.
    """
    return f"{OPT_OUT_PREFIX}{number}"


def sandbox_key(region: str, account: str, number: str) -> str:
    """The key of a number of the sandbox; with an empty number, the prefix of all."""
    return f"sns/{region}/{account}/sms/sandbox/{number}"
