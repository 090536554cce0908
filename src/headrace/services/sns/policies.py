"""Topic policies: whether a Policy is one, and what AddPermission and RemovePermission make of it. Pure.

Policies are stored, not enforced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from headrace.services.sns import limits
from headrace.services.sns.rules import invalid_parameter, partition

_VERSIONS: Final = ("2008-10-17", "2012-10-17")
_POLICY_MEMBERS: Final = frozenset({"Version", "Id", "Statement"})
_ACCOUNT: Final = re.compile(r"[0-9]{12}").fullmatch
_LABEL: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{limits.PERMISSION_LABEL_CHARS}}}").fullmatch

_DEFAULT_ACTIONS: Final = (
    "GetTopicAttributes",
    "SetTopicAttributes",
    "AddPermission",
    "RemovePermission",
    "DeleteTopic",
    "Subscribe",
    "ListSubscriptionsByTopic",
    "Publish",
)
_ACTIONS: Final = frozenset(
    {*_DEFAULT_ACTIONS, "Receive", "ListTagsForResource", "GetDataProtectionPolicy", "PutDataProtectionPolicy", "*"}
)
"""What a topic's policy may allow."""


def default_policy(topic_arn: str, account: str) -> str:
    """The policy of a topic that was given none: its owner may do everything."""
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{action}" for action in _DEFAULT_ACTIONS],
        "Resource": topic_arn,
        "Condition": {"StringEquals": {"AWS:SourceOwner": account}},
    }
    return _dump({"Version": _VERSIONS[0], "Id": "__default_policy_ID", "Statement": [statement]})


def check_policy(text: str) -> str | None:
    """Why `text` is not a policy document, in a few words; None when it is one."""
    if len(text.encode()) > limits.POLICY_BYTES:
        return f"must be at most {limits.POLICY_BYTES} bytes"
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError):
        return "failed to parse JSON."
    if not _is_document(policy):
        return "Policy Error: null"
    if len(_listed(policy["Statement"])) > limits.POLICY_STATEMENTS:
        return f"must have at most {limits.POLICY_STATEMENTS} statements"
    return None


def _is_document(policy: Any) -> bool:
    if not isinstance(policy, dict) or not policy.keys() <= _POLICY_MEMBERS:
        return False
    if policy.get("Version", _VERSIONS[0]) not in _VERSIONS or not isinstance(policy.get("Id", ""), str):
        return False
    statements = _listed(policy.get("Statement"))
    return bool(statements) and all(_is_statement(statement) for statement in statements)


def _is_statement(statement: Any) -> bool:
    if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
        return False
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    return (
        isinstance(statement.get("Sid", ""), str)
        and isinstance(statement.get("Condition", {}), dict)
        and (principal == "*" or (isinstance(principal, dict) and bool(principal)))
        and _are_texts(statement.get("Action", statement.get("NotAction")))
        and _are_texts(statement.get("Resource", statement.get("NotResource")))
    )


def add_permission(policy: str, topic_arn: str, label: str, accounts: Sequence[str], actions: Sequence[str]) -> str:
    """The policy with one more statement. Raises InvalidParameter, also for a label that is taken."""
    _check_permission(label, accounts, actions)
    document = _document(policy)
    if any(statement.get("Sid") == label for statement in document["Statement"]):
        raise invalid_parameter("Statement already exists")
    where = partition(topic_arn.split(":")[3])
    principals = [f"arn:{where}:iam::{account}:root" for account in accounts]
    names = [f"SNS:{action}" for action in actions]
    document["Statement"].append(
        {
            "Sid": label,
            "Effect": "Allow",
            # AWS: a list of one is written as the one.
            "Principal": {"AWS": principals if len(principals) > 1 else principals[0]},
            "Action": names if len(names) > 1 else names[0],
            "Resource": topic_arn,
        }
    )
    text = _dump(document)
    if problem := check_policy(text):
        raise invalid_parameter(f"Policy {problem}")
    return text


def remove_permission(policy: str, label: str) -> str:
    """The policy without the statements of that label. AWS: a label that it does not have is no error."""
    document = _document(policy)
    document["Statement"] = [statement for statement in document["Statement"] if statement.get("Sid") != label]
    return _dump(document)


def _check_permission(label: str, accounts: Sequence[str], actions: Sequence[str]) -> None:
    if not _LABEL(label):
        raise invalid_parameter(
            f"Label Reason: A label has 1 to {limits.PERMISSION_LABEL_CHARS} alphanumeric characters, hyphens, or "
            "underscores"
        )
    if not accounts or not all(_ACCOUNT(account) for account in accounts):
        raise invalid_parameter("AWSAccountId Reason: Must be the 12 digits of one or more accounts")
    if not actions or not set(actions) <= _ACTIONS:
        raise invalid_parameter("Policy statement action out of service scope!")


def _document(policy: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(policy)
    document["Statement"] = _listed(document.get("Statement"))
    return document


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _are_texts(value: Any) -> bool:
    return bool(value) and all(isinstance(item, str) for item in _listed(value))


def _dump(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))
