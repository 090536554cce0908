"""Replay policies: from when on, and until when, a subscription gets archived messages once more. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from headrace.services.sns import limits

_MEMBERS: Final = frozenset({"PointType", "StartingPoint", "EndingPoint"})
_DAY_MS: Final = 86_400_000


class Replay(msgspec.Struct, frozen=True):
    """What is to be replayed: messages published from `from_ms` on, up to `to_ms` (None: without an end)."""

    from_ms: int
    to_ms: int | None


def parse(text: str) -> Replay:
    """A policy that was found in order by `problem`."""
    policy = json.loads(text)
    start, end = _milliseconds(policy["StartingPoint"]), _milliseconds(policy.get("EndingPoint"))
    assert start is not None
    return Replay(start, end)


def problem(text: str, now_ms: int) -> str | None:
    """What is wrong with a policy, in a few words; None when nothing is.

    AWS: `{"PointType": "Timestamp", "StartingPoint": "2026-01-31T00:00:00.000Z"}`, and perhaps an `EndingPoint`.
    """
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError):
        return "failed to parse JSON."
    if not isinstance(policy, dict) or not policy.keys() <= _MEMBERS or "StartingPoint" not in policy:
        return "must have StartingPoint, and may have PointType and EndingPoint"
    if policy.get("PointType", "Timestamp") != "Timestamp":
        return "PointType must be Timestamp"
    return _points_problem(policy, now_ms)


def _points_problem(policy: dict[str, Any], now_ms: int) -> str | None:
    start = _milliseconds(policy["StartingPoint"])
    if start is None:
        return "StartingPoint must be a time like 2026-01-31T00:00:00.000Z"
    if start > now_ms or start < now_ms - limits.ARCHIVE_DAYS[1] * _DAY_MS:
        return f"StartingPoint must lie in the past, at most {limits.ARCHIVE_DAYS[1]} days back"
    if "EndingPoint" in policy:
        end = _milliseconds(policy["EndingPoint"])
        if end is None or end < start:
            return "EndingPoint must be a time after StartingPoint"
    return None


def _milliseconds(value: Any) -> int | None:
    """A time in ISO 8601, in UTC unless it says otherwise, as milliseconds."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def show(at_ms: int) -> str:
    """A time as SNS writes it: ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
