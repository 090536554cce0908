"""What SNS demands of names, ARNs, tags, batches and tokens, and the errors it answers with. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from headrace.errors import ServiceError
from headrace.services.sns import limits

_TOPIC_NAME: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{limits.TOPIC_NAME_CHARS}}}").fullmatch
_BATCH_ID: Final = re.compile(r"[A-Za-z0-9_-]*").fullmatch
_TAG_TEXT: Final = re.compile(r"[\w\s.:/=+\-@]*").fullmatch
_ACCOUNT: Final = re.compile(r"[0-9]{12}").fullmatch
_TOPIC_PARTS: Final = 6
_SUBSCRIPTION_PARTS: Final = 7

FIFO_SUFFIX: Final = ".fifo"


# Errors


def invalid_parameter(what: str) -> ServiceError:
    """AWS's InvalidParameter, in the form that most of SNS's have: `Invalid parameter: …`."""
    return ServiceError("InvalidParameter", f"Invalid parameter: {what}")


def no_such_topic() -> ServiceError:
    """AWS's NotFound for a topic."""
    return ServiceError("NotFound", "Topic does not exist")


def no_such_subscription() -> ServiceError:
    """AWS's NotFound for a subscription."""
    return ServiceError("NotFound", "Subscription does not exist")


def too_busy() -> ServiceError:
    """What is answered when others keep changing the same record."""
    return ServiceError("InternalError", "Others keep changing this at the same time; try again.", status=503)


# Names and ARNs


def check_topic_name(name: str, *, fifo: bool) -> None:
    """Raise InvalidParameter unless `name` may name a topic of that type."""
    if not fifo:
        if not _TOPIC_NAME(name):
            raise invalid_parameter("Topic Name")
        return
    # AWS: the suffix counts towards the 256 characters.
    stem = name.removesuffix(FIFO_SUFFIX)
    if stem == name or len(name) > limits.TOPIC_NAME_CHARS or not _TOPIC_NAME(stem):
        raise invalid_parameter(
            "Topic Name Reason: Fifo Topic names must end with .fifo and must be made up of only uppercase and "
            "lowercase ASCII letters, numbers, underscores, and hyphens, and must be between 1 and 256 characters long."
        )


def partition(region: str) -> str:
    """The AWS partition that a region lies in."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def topic_arn(region: str, account: str, name: str) -> str:
    """A topic's ARN."""
    return f"arn:{partition(region)}:sns:{region}:{account}:{name}"


def split_arn(arn: str, parameter: str) -> list[str]:
    """An ARN's parts, six at least. Raises InvalidParameter that names the parameter."""
    parts = arn.split(":")
    if len(parts) < _TOPIC_PARTS or parts[0] != "arn":
        raise invalid_parameter(
            f"{parameter} Reason: An ARN must have at least {_TOPIC_PARTS} elements, not {len(parts)}"
        )
    return parts


def parse_topic_arn(arn: str, parameter: str = "TopicArn") -> tuple[str, str, str]:
    """The (region, account, name) of a topic's ARN. Raises InvalidParameter that names the parameter."""
    parts = split_arn(arn, parameter)
    _, _, service, region, account, name, *rest = parts
    # A slash would lead out of the topic's own keys; no topic's name has one.
    if service != "sns" or not region or not _ACCOUNT(account) or not name or rest or "/" in f"{region}{name}":
        raise invalid_parameter(parameter)
    return region, account, name


def parse_subscription_arn(arn: str) -> tuple[str, str, str, str]:
    """The (region, account, topic name, id) of a subscription's ARN. Raises InvalidParameter."""
    parts = split_arn(arn, "SubscriptionArn")
    if len(parts) != _SUBSCRIPTION_PARTS:
        raise invalid_parameter("SubscriptionId")
    region, account, name = parse_topic_arn(":".join(parts[:_TOPIC_PARTS]), "SubscriptionArn")
    if not parts[-1] or "/" in parts[-1]:
        raise invalid_parameter("SubscriptionId")
    return region, account, name, parts[-1]


def parse_queue_arn(arn: str) -> tuple[str, str, str] | None:
    """The (region, account, name) of an SQS queue's ARN, or None when it is not one."""
    parts = arn.split(":")
    if len(parts) != _TOPIC_PARTS or parts[0] != "arn" or parts[2] != "sqs":
        return None
    _, _, _, region, account, name = parts
    return (region, account, name) if region and _ACCOUNT(account) and name else None


# Tags


def read_tags(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Tags as they are stored. Raises InvalidParameter for a key given twice."""
    result: dict[str, str] = {}
    for tag in tags:
        if tag["Key"] in result:
            raise invalid_parameter("Duplicated keys are not allowed.")
        result[tag["Key"]] = tag["Value"]
    return result


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise TagLimitExceeded or InvalidParameter unless a topic may have all these tags together."""
    if len(tags) > limits.TAGS:
        raise ServiceError("TagLimitExceeded", f"Could not complete request: tag quota of {limits.TAGS} exceeded")
    for key, value in tags.items():
        if key[:4].lower() == "aws:":
            raise invalid_parameter("Tags Reason: Tag keys must not start with the reserved prefix aws:")
        if not _TAG_TEXT(key) or not _TAG_TEXT(value):
            raise invalid_parameter(
                "Tags Reason: Tag keys and values can only include letters, digits, whitespace, and the characters "
                "_ . : / = + - @"
            )


def list_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as the API lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


# Batches


def check_batch(entries: Sequence[Mapping[str, Any]]) -> None:
    """Raise AWS's errors for a batch as a whole: its size, and its entries' ids."""
    if not entries:
        raise ServiceError("EmptyBatchRequest", "The batch request doesn't contain any entries.")
    if len(entries) > limits.BATCH_ENTRIES:
        raise ServiceError("TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible.")
    ids = [entry["Id"] for entry in entries]
    if len(set(ids)) != len(ids):
        raise ServiceError("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")
    for entry_id in ids:
        if not 1 <= len(entry_id) <= limits.BATCH_ID_CHARS:
            raise _invalid_batch_id(f"is too long: {entry_id}" if entry_id else "is empty")
        if not _BATCH_ID(entry_id):
            raise _invalid_batch_id(f"contains an impermissible character: {entry_id}")


def _invalid_batch_id(problem: str) -> ServiceError:
    return ServiceError("InvalidBatchEntryId", f"The Id of a batch entry in the batch request {problem}")


def check_token_text(value: str, parameter: str) -> None:
    """Raise InvalidParameter unless `value` may be a message group or deduplication id."""
    if not 1 <= len(value) <= limits.MESSAGE_ID_CHARS or not value.isascii() or not value.isprintable() or " " in value:
        raise invalid_parameter(
            f"{parameter} Reason: {parameter} can only include alphanumeric and punctuation characters, "
            f"1 to {limits.MESSAGE_ID_CHARS} in length"
        )


# Booleans and pages


def read_boolean(value: str) -> str | None:
    """`true` or `false` as it is stored, or None for anything else. AWS: the case does not matter."""
    lowered = value.lower()
    return lowered if lowered in ("true", "false") else None


def encode_token(last: str) -> str:
    """The NextToken that continues after the result `last`."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def decode_token(token: str | None) -> str:
    """The result that a NextToken continues after. Raises InvalidParameter for what was never a token."""
    if not token:
        return ""
    try:
        return base64.b64decode(token, b"-_", validate=True).decode()
    except ValueError as error:  # binascii.Error and UnicodeDecodeError are
        raise invalid_parameter("NextToken") from error
