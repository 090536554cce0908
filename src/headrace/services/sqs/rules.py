"""What SQS demands of names, addresses, tags, batches and ranges, and the errors it answers with. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.errors import ServiceError
from headrace.services.sqs import limits

_QUEUE_NAME: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{limits.QUEUE_NAME_CHARS}}}").fullmatch
_BATCH_ID: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{limits.BATCH_ID_CHARS}}}").fullmatch
_TAG_TEXT: Final = re.compile(r"[\w\s.:/=+\-@]*").fullmatch
_ACCOUNT: Final = re.compile(r"[0-9]{12}").fullmatch

FIFO_SUFFIX: Final = ".fifo"


def invalid_parameter(message: str) -> ServiceError:
    """AWS's InvalidParameterValue."""
    return ServiceError("InvalidParameterValue", message)


def invalid_value(value: object, parameter: str, reason: str) -> ServiceError:
    """InvalidParameterValue in the form that names value, parameter and reason."""
    return invalid_parameter(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")


def missing_parameter(parameter: str) -> ServiceError:
    """AWS's MissingParameter."""
    return ServiceError("MissingParameter", f"The request must contain the parameter {parameter}.")


def no_such_queue() -> ServiceError:
    """AWS's QueueDoesNotExist."""
    return ServiceError("QueueDoesNotExist", "The specified queue does not exist.")


# Names and addresses


def check_queue_name(name: str, *, fifo: bool) -> None:
    """Raise InvalidParameterValue unless `name` may name a queue of that type."""
    if not name:
        raise invalid_parameter("Queue name cannot be empty")
    # AWS: the suffix counts towards the 80 characters, and is for FIFO queues only.
    stem = name.removesuffix(FIFO_SUFFIX) if fifo else name
    if len(name) > limits.QUEUE_NAME_CHARS or not _QUEUE_NAME(stem) or fifo != (stem is not name):
        raise invalid_parameter(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, "
            "must end with .fifo suffix and be 1 to 80 in length"
            if fifo
            else "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        )


def locate(address: str, region: str, account: str) -> tuple[str, str, str]:
    """The (region, account, name) that a QueueUrl means to a caller of `region` and `account`.

    Takes URLs and paths, whatever their host: `/<account>/<name>`, the older `/queue/<name>` and
    `/<region>/queue/<name>` (each with or without an account), and bare names. Raises InvalidAddress
    for a URL of another form.
    """
    _, is_url, rest = address.partition("://")
    path = rest.partition("/")[2] if is_url else address
    parts = [part for part in path.partition("?")[0].split("/") if part]
    if len(parts) >= 2 and parts[0] == "queue":  # noqa: PLR2004 - "queue" and what follows it
        del parts[0]
    elif len(parts) >= 3 and parts[1] == "queue":  # noqa: PLR2004 - region, "queue" and what follows
        region = parts[0]
        del parts[:2]
    elif is_url and len(parts) == 1:
        parts.clear()
    match parts:
        case [name]:
            return region, account, name
        case [owner, name] if _ACCOUNT(owner):
            return region, owner, name
        case _:
            raise ServiceError("InvalidAddress", f"The address {address} is not valid for this endpoint.")


def arn_of(region: str, account: str, name: str) -> str:
    """A queue's ARN, which is also its name in the engine."""
    return f"arn:{partition(region)}:sqs:{region}:{account}:{name}"


def partition(region: str) -> str:
    """The AWS partition that a region lies in."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def parse_arn(arn: str) -> tuple[str, str, str] | None:
    """The (region, account, name) of a queue's ARN, or None when it is not one."""
    parts = arn.split(":")
    if len(parts) != 6 or parts[0] != "arn" or parts[2] != "sqs":  # noqa: PLR2004 - an ARN has six parts
        return None
    _, _, _, region, account, name = parts
    return (region, account, name) if region and account and name else None


# Tags


def check_tags(tags: Mapping[str, str], queue_name: str) -> None:
    """Raise InvalidParameterValue unless a queue may have all these tags together."""
    if len(tags) > limits.TAGS:
        raise invalid_parameter(f"Too many tags added for queue {queue_name}.")
    for key, value in tags.items():
        if not 1 <= len(key) <= limits.TAG_KEY_CHARS:
            raise invalid_parameter("Tag keys must be between 1 and 128 characters in length.")
        if len(value) > limits.TAG_VALUE_CHARS:
            raise invalid_parameter("Tag values must be between 0 and 256 characters in length.")
        if key[:4].lower() == "aws:":
            raise invalid_parameter(f"Tag keys can't start with the reserved prefix aws:, but {key} does.")
        if not _TAG_TEXT(key) or not _TAG_TEXT(value):
            raise invalid_parameter(
                "Tag keys and values can only include letters, digits, whitespace, and the characters _ . : / = + - @"
            )


# Batches


def check_batch(entries: Sequence[Mapping[str, Any]], entry_name: str) -> None:
    """Raise AWS's errors for a batch as a whole: its size, and its entries' ids. `entry_name` is the entry's shape."""
    count = len(entries)
    if not 1 <= count <= limits.BATCH_ENTRIES:
        if not count:
            raise ServiceError("EmptyBatchRequest", f"There should be at least one {entry_name} in the request.")
        raise ServiceError(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {limits.BATCH_ENTRIES}. You have sent {count}.",
        )
    ids = [entry["Id"] for entry in entries]
    for entry_id in ids:
        if not _BATCH_ID(entry_id):
            raise ServiceError(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
                "It can be at most 80 letters long.",
            )
    if len(set(ids)) != count:
        repeated = next(entry_id for entry_id in ids if ids.count(entry_id) > 1)
        raise ServiceError("BatchEntryIdsNotDistinct", f"Id {repeated} repeated.")


def failed(entry_id: str, error: ServiceError) -> dict[str, Any]:
    """A batch's `Failed` entry for an error of the caller's."""
    return {"Id": entry_id, "SenderFault": True, "Code": error.code, "Message": error.message}


def batch_result(successful: list[dict[str, Any]], failures: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch's result. AWS: a list without entries is left out."""
    result: dict[str, Any] = {}
    if successful:
        result["Successful"] = successful
    if failures:
        result["Failed"] = failures
    return result


# Ranges


def check_receive(max_messages: int, wait_s: int, visibility_s: int) -> None:
    """Raise InvalidParameterValue unless ReceiveMessage takes these."""
    if not 1 <= max_messages <= limits.RECEIVE_MESSAGES:
        raise invalid_value(max_messages, "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")
    if not limits.WAIT_TIME_S[0] <= wait_s <= limits.WAIT_TIME_S[1]:
        raise invalid_value(wait_s, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
    if not limits.VISIBILITY_TIMEOUT_S[0] <= visibility_s <= limits.VISIBILITY_TIMEOUT_S[1]:
        raise invalid_value(visibility_s, "VisibilityTimeout", "Must be >= 0 and <= 43200, if provided.")


def check_visibility(timeout_s: int) -> None:
    """Raise InvalidParameterValue unless a message may be hidden that long."""
    if not limits.VISIBILITY_TIMEOUT_S[0] <= timeout_s <= limits.VISIBILITY_TIMEOUT_S[1]:
        raise invalid_value(timeout_s, "VisibilityTimeout", "Must be between 0 and 43200.")


def check_token_text(value: str, parameter: str) -> None:
    """Raise InvalidParameterValue unless `value` may be a message group, deduplication or attempt id."""
    if not 1 <= len(value) <= limits.MESSAGE_ID_CHARS or not value.isascii() or not value.isprintable() or " " in value:
        raise invalid_value(
            value,
            parameter,
            f"{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length.",
        )


# Pages


def page_size(max_results: int | None) -> int:
    """How many results a page has. Raises InvalidParameterValue when `max_results` is out of range."""
    if max_results is None:
        return limits.LIST_RESULTS
    if not 1 <= max_results <= limits.LIST_RESULTS:
        raise invalid_value(max_results, "MaxResults", "Must be between 1 and 1000, if provided.")
    return max_results


def encode_token(last: str) -> str:
    """The NextToken that continues after the result `last`."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def decode_token(token: str | None) -> str:
    """The result that a NextToken continues after. Raises InvalidParameterValue for what was never a token."""
    if not token:
        return ""
    try:
        return base64.b64decode(token, b"-_", validate=True).decode()
    except ValueError as error:  # binascii.Error and UnicodeDecodeError are
        raise invalid_value(token, "NextToken", "It is not a token that this action gave.") from error
