"""RedrivePolicy and RedriveAllowPolicy: which queue takes another's dead letters, and which may say so. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from headrace.errors import ServiceError
from headrace.services.sqs import limits
from headrace.services.sqs.rules import FIFO_SUFFIX, arn_of, invalid_value, parse_arn

_REDRIVE_MEMBERS: Final = ("maxReceiveCount", "deadLetterTargetArn")
_PERMISSIONS: Final = ("allowAll", "denyAll", "byQueue")


class Redrive(msgspec.Struct, frozen=True):
    """A RedrivePolicy that is well formed."""

    target_arn: str
    max_receive_count: int


class RedriveAllow(msgspec.Struct, frozen=True):
    """A RedriveAllowPolicy that is well formed."""

    permission: str
    source_arns: tuple[str, ...]

    def allows(self, source_arn: str) -> bool:
        """Whether that queue may name the policy's owner as its dead-letter queue."""
        return self.permission == "allowAll" or (self.permission == "byQueue" and source_arn in self.source_arns)


def parse_redrive(policy: str) -> Redrive:
    """Read a RedrivePolicy. Raises InvalidParameterValue, or InvalidAttributeValue when it is not a JSON object."""
    try:
        members = json.loads(policy)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise ServiceError(
            "InvalidAttributeValue",
            "Invalid value for the parameter RedrivePolicy. Reason: Redrive policy is not a valid JSON map.",
        )
    for name in _REDRIVE_MEMBERS:
        if name not in members:
            raise _invalid(policy, f"Redrive policy does not contain mandatory attribute: {name}.")
    if len(members) > len(_REDRIVE_MEMBERS):
        raise _invalid(policy, f"Only following attributes are supported: [{', '.join(_REDRIVE_MEMBERS)}].")
    count = _whole_number(members["maxReceiveCount"])
    low, high = limits.MAX_RECEIVE_COUNT
    if count is None or not low <= count <= high:
        raise _invalid(
            policy,
            f"Invalid value for maxReceiveCount: {members['maxReceiveCount']}, "
            f"valid values are from {low} to {high} both inclusive.",
        )
    return Redrive(_target(policy, members["deadLetterTargetArn"]), count)


def normalise_redrive(policy: str) -> str:
    """The RedrivePolicy as GetQueueAttributes shows it. AWS: the count is a number though it was given as a string."""
    redrive = parse_redrive(policy)
    members = json.loads(policy)
    if isinstance(members["maxReceiveCount"], int):
        return policy
    return json.dumps(members | {"maxReceiveCount": redrive.max_receive_count}, separators=(",", ":"))


def _whole_number(value: Any) -> int | None:
    # AWS: takes the number as a JSON string too.
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 9:  # noqa: PLR2004 - far over any limit
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _target(policy: str, arn: Any) -> str:
    if not isinstance(arn, str) or not arn.startswith("arn:"):
        raise _invalid(policy, "Invalid value for deadLetterTargetArn.")
    if parse_arn(arn) is None:
        # AWS: tells an ARN of another service from one that is cut short.
        parts = arn.split(":")
        raise _invalid(
            policy,
            "Only SQS queues are valid resources for deadLetterTargetArn."
            if len(parts) >= 6 and parts[2] != "sqs"  # noqa: PLR2004 - an ARN has six parts
            else "Dead-letter target ARN should be fully qualified ARN.",
        )
    return arn


def check_redrive(policy: str, region: str, account: str, source_name: str) -> None:
    """Raise InvalidParameterValue unless the target is of the source's region, account and type.

    Whether it exists, and allows it, is for the caller to look up.
    """
    target = parse_arn(parse_redrive(policy).target_arn)
    assert target is not None
    target_region, target_account, target_name = target
    if target_account != account:
        raise _invalid(policy, "Dead-letter target owner should be same as the source.")
    if target_region != region:
        raise _invalid(policy, "Dead-letter target should be in the same region as the source.")
    if target_name.endswith(FIFO_SUFFIX) != source_name.endswith(FIFO_SUFFIX):
        raise _invalid(policy, "Dead-letter queue must be same type of queue as the source.")
    if target_name == source_name:
        raise _invalid(policy, "Dead-letter queue must be a queue other than the source.")


def no_target(policy: str) -> ServiceError:
    """AWS's error for a dead-letter queue that does not exist."""
    return _invalid(policy, "Dead letter target does not exist.")


def denied(policy: str, source_arn: str) -> ServiceError:
    """The error for a dead-letter queue whose RedriveAllowPolicy leaves this source out."""
    return _invalid(policy, f"The dead-letter queue's redrive allow policy does not allow {source_arn} as a source.")


def target_name(policy: str | None, region: str, account: str) -> str | None:
    """The name of the queue that a stored RedrivePolicy points to, or None without one."""
    if not policy:
        return None
    arn = parse_redrive(policy).target_arn
    located = parse_arn(arn)
    return located[2] if located and arn_of(region, account, located[2]) == arn else None


def _invalid(policy: str, reason: str) -> ServiceError:
    return invalid_value(policy, "RedrivePolicy", reason)


def parse_redrive_allow(policy: str) -> RedriveAllow:
    """Read a RedriveAllowPolicy. Raises InvalidAttributeValue, or InvalidParameterValue for its sources."""
    try:
        members = json.loads(policy)
    except (ValueError, RecursionError):
        members = None
    arns = members.get("sourceQueueArns") if isinstance(members, dict) else None
    if (
        not isinstance(members, dict)
        or not members.keys() <= {"redrivePermission", "sourceQueueArns"}
        or members.get("redrivePermission") not in _PERMISSIONS
        or not (arns is None or (isinstance(arns, list) and all(isinstance(arn, str) for arn in arns)))
    ):
        raise ServiceError(
            "InvalidAttributeValue",
            "Invalid value for the parameter RedriveAllowPolicy. Reason: Amazon SQS can't create the redrive allow "
            "policy, as it's in an unsupported format.",
        )
    permission = members["redrivePermission"]
    _check_sources(policy, permission, arns)
    return RedriveAllow(permission, tuple(arns or ()))


def _check_sources(policy: str, permission: str, arns: list[str] | None) -> None:
    reason = None
    if permission != "byQueue":
        if arns is not None:
            reason = "To specify one or more source queue ARNs, you must set redrivePermission to byQueue."
    elif not arns:
        reason = (
            "When you specify the byQueue permission type, you must also specify one or more sourceQueueArns values."
        )
    elif len(arns) > limits.REDRIVE_ALLOWED_SOURCES:
        reason = "The maximum number of source queue ARNs you can specify is 10."
    elif not all(parse_arn(arn) for arn in arns):
        reason = "Each of sourceQueueArns must be the ARN of an SQS queue."
    if reason:
        raise invalid_value(policy, "RedriveAllowPolicy", f"Amazon SQS can't create the redrive allow policy. {reason}")
