"""Queue policies: whether a Policy document is one, and what AddPermission and RemovePermission make of it. Pure.

What they let services do is decided before an operation is called; to people they do not apply yet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from headrace.errors import ServiceError
from headrace.services.sqs import limits
from headrace.services.sqs.rules import invalid_value, partition

_VERSIONS: Final = ("2008-10-17", "2012-10-17")
_POLICY_MEMBERS: Final = frozenset({"Version", "Id", "Statement"})
_STATEMENT_MEMBERS: Final = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
_LABEL: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{limits.PERMISSION_LABEL_CHARS}}}").fullmatch
_ACCOUNT: Final = re.compile(r"[0-9]{12}").fullmatch

_SHARED_ACTIONS: Final = frozenset(
    {
        "*",
        "ChangeMessageVisibility",
        "ChangeMessageVisibilityBatch",
        "DeleteMessage",
        "DeleteMessageBatch",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListDeadLetterSourceQueues",
        "PurgeQueue",
        "ReceiveMessage",
        "SendMessage",
        "SendMessageBatch",
    }
)
_OWNER_ACTIONS: Final = frozenset(
    {
        "AddPermission",
        "CancelMessageMoveTask",
        "CreateQueue",
        "DeleteQueue",
        "ListMessageMoveTasks",
        "ListQueues",
        "ListQueueTags",
        "RemovePermission",
        "SetQueueAttributes",
        "StartMessageMoveTask",
        "TagQueue",
        "UntagQueue",
    }
)


# The Policy attribute


def check_policy(text: str) -> None:
    """Raise InvalidAttributeValue or OverLimit unless `text` is a policy document."""
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError):
        policy = None
    if (
        not isinstance(policy, dict)
        or not policy.keys() <= _POLICY_MEMBERS
        or policy.get("Version", _VERSIONS[0]) not in _VERSIONS
        or not isinstance(policy.get("Id", ""), str)
    ):
        raise _invalid_policy()
    statements = _listed(policy.get("Statement"))
    if not statements or not all(_is_statement(statement) for statement in statements):
        raise _invalid_policy()
    _check_policy_size(text, statements)


def _is_statement(statement: Any) -> bool:
    if not isinstance(statement, dict) or not statement.keys() <= _STATEMENT_MEMBERS:
        return False
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    return (
        statement.get("Effect") in ("Allow", "Deny")
        and isinstance(statement.get("Sid", ""), str)
        and _is_condition(statement.get("Condition", {}))
        and (principal == "*" or (isinstance(principal, dict) and bool(principal)))
        and all(
            (plain in statement) != (negated in statement)
            for plain, negated in (("Principal", "NotPrincipal"), ("Action", "NotAction"), ("Resource", "NotResource"))
        )
        and _are_texts(statement.get("Action", statement.get("NotAction")))
        and _are_texts(statement.get("Resource", statement.get("NotResource")))
    )


def _is_condition(condition: Any) -> bool:
    return isinstance(condition, dict) and all(isinstance(operands, dict) for operands in condition.values())


def _check_policy_size(text: str, statements: list[Any]) -> None:
    principals = sum(
        len(_listed(names))
        for statement in statements
        if isinstance(statement.get("Principal"), dict)
        for names in statement["Principal"].values()
    )
    conditions = sum(len(operands) for s in statements for operands in s.get("Condition", {}).values())
    for count, most, what in (
        (len(statements), limits.POLICY_STATEMENTS, "statements"),
        (principals, limits.POLICY_PRINCIPALS, "principals"),
        (conditions, limits.POLICY_CONDITIONS, "conditions"),
        (len(text.encode()), limits.POLICY_BYTES, "bytes"),
    ):
        if count > most:
            raise ServiceError("OverLimit", f"{count} {what} were found in the submitted policy, max allowed is {most}")


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _are_texts(value: Any) -> bool:
    return bool(value) and all(isinstance(item, str) for item in _listed(value))


def _invalid_policy() -> ServiceError:
    return ServiceError("InvalidAttributeValue", "Invalid value for the parameter Policy.")


# AddPermission and RemovePermission


def check_permission(label: str, accounts: Sequence[str], actions: Sequence[str]) -> None:
    """Raise InvalidParameterValue or OverLimit unless AddPermission takes these."""
    if not _LABEL(label):
        raise invalid_value(
            label, "Label", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length."
        )
    if not accounts:
        raise ServiceError("MissingParameter", "The request must contain the parameter AWSAccountIds.")
    if not actions:
        raise ServiceError("MissingParameter", "The request must contain the parameter Actions.")
    for account in accounts:
        if not _ACCOUNT(account):
            raise invalid_value([account], "PrincipalId", "Unable to verify.")
    if len(actions) > limits.PERMISSION_ACTIONS:
        raise ServiceError(
            "OverLimit", f"{len(actions)} Actions were found, maximum allowed is {limits.PERMISSION_ACTIONS}."
        )
    for action in actions:
        if action in _OWNER_ACTIONS:
            raise invalid_value(f"SQS:{action}", "ActionName", "Only the queue owner is allowed to invoke this action.")
        if action not in _SHARED_ACTIONS:
            raise invalid_value(
                f"SQS:{action}", "ActionName", "Please refer to the appropriate WSDL for a list of valid actions."
            )


def add_permission(
    policy: str | None, queue_arn: str, label: str, accounts: Sequence[str], actions: Sequence[str]
) -> str:
    """The policy with one more statement. Raises InvalidParameterValue when the label is taken, or OverLimit."""
    document = _document(policy, queue_arn)
    if any(statement.get("Sid") == label for statement in document["Statement"]):
        raise invalid_value(label, "Label", "Already exists.")
    where = partition(queue_arn.split(":")[3])
    principals = [f"arn:{where}:iam::{account}:root" for account in accounts]
    names = [f"SQS:{action}" for action in actions]
    statement = {
        "Sid": label,
        "Effect": "Allow",
        # AWS: a list of one is written as the one.
        "Principal": {"AWS": principals if len(principals) > 1 else principals[0]},
        "Action": names if len(names) > 1 else names[0],
        "Resource": queue_arn,
    }
    document["Statement"].append(statement)
    text = json.dumps(document, separators=(",", ":"))
    _check_policy_size(text, document["Statement"])
    return text


def remove_permission(policy: str | None, queue_arn: str, label: str) -> str:
    """The policy without that statement; empty when none is left. Raises InvalidParameterValue without the label."""
    document = _document(policy, queue_arn)
    kept = [statement for statement in document["Statement"] if statement.get("Sid") != label]
    if len(kept) == len(document["Statement"]):
        raise invalid_value(label, "Label", "can't find label.")
    document["Statement"] = kept
    return json.dumps(document, separators=(",", ":")) if kept else ""


def _document(policy: str | None, queue_arn: str) -> dict[str, Any]:
    if not policy:
        return {"Version": _VERSIONS[0], "Id": f"{queue_arn}/SQSDefaultPolicy", "Statement": []}
    document: dict[str, Any] = json.loads(policy)
    document["Statement"] = _listed(document.get("Statement"))
    return document
