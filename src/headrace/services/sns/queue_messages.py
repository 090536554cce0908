"""What SNS sends to SQS: SendMessage's parameters for a publication, raw or in its envelope. Pure."""

from __future__ import annotations

from typing import Any, Final

from headrace.context import Principal
from headrace.errors import ServiceError
from headrace.services.sns.records import Publication

_RETRIED: Final = frozenset(
    {"RequestThrottled", "ThrottlingException", "Throttling", "KmsThrottled", "ServiceUnavailable", "InternalFailure"}
)
_SERVER_ERROR: Final = 500

SERVICE: Final = "sns.amazonaws.com"
"""What queues' policies call SNS."""

SENDER_ID: Final = "AIDAIT2UOQQY3AUEKVGXU"
"""AWS: SNS's own user id, which queues show as the SenderId of what it sends."""


def principal(account: str, topic_arn: str) -> Principal:
    """Who sends to queues on behalf of an account's topic: SNS itself."""
    return Principal(
        account=account,
        access_key_id="",
        user_id=SENDER_ID,
        arn=SERVICE,
        service=SERVICE,
        source_arn=topic_arn,
    )


def queue_url(account: str, name: str) -> str:
    """A queue's URL, as far as SQS needs it."""
    return f"/{account}/{name}"


def entry(publication: Publication, body: str, *, raw: bool, fifo: bool) -> dict[str, Any]:
    """SendMessage's parameters for one queue, but for its URL; `fifo` is the queue's type.

    AWS: attributes become the queue's own with raw delivery only. FIFO queues get the message's group and
    deduplication id; standard queues the group, by which they are fair.
    """
    params: dict[str, Any] = {"MessageBody": body}
    if raw and publication.attributes:
        params["MessageAttributes"] = {
            name: {
                "DataType": each.data_type,
                **({"StringValue": each.text} if each.data is None else {"BinaryValue": each.data}),
            }
            for name, each in publication.attributes.items()
        }
    if publication.group is not None:
        params["MessageGroupId"] = publication.group
    if fifo:
        params["MessageDeduplicationId"] = publication.dedup_id
    if publication.trace is not None:
        params["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": publication.trace}}
    return params


def is_retried(error: ServiceError) -> bool:
    """Whether a send that failed like this is tried again. AWS: server errors are, client errors are not."""
    return error.code in _RETRIED or (error.status or 0) >= _SERVER_ERROR
