"""Resource policies of streams, consumers and queues. They are validated and stored, not enforced."""

from __future__ import annotations

import json
from typing import Any, Final

from headrace.context import Context
from headrace.services.kinesis import limits, records, resources, rules
from headrace.services.kinesis.records import PolicyRecord

_VERSIONS: Final = ("2008-10-17", "2012-10-17")
_POLICY_MEMBERS: Final = frozenset({"Version", "Id", "Statement"})
_STATEMENT_MEMBERS: Final = frozenset({"Sid", "Effect", "Principal", "Action", "Resource", "Condition"})


async def put_resource_policy(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Attach `Policy` to the stream, consumer or queue of `ResourceARN`, in place of one that is there.

    Raises InvalidArgumentException for what is no policy of that resource, ResourceNotFoundException.
    """
    arn: str = params["ResourceARN"]
    resource = await resources.find(ctx, arn)
    check_policy(params["Policy"], arn)
    record = PolicyRecord(policy=params["Policy"])
    await ctx.server.engine.metadata.put(records.policy_key(*resource), records.encode(record))
    return {}


async def get_resource_policy(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The policy of the stream, consumer or queue of `ResourceARN`.

    Raises InvalidArgumentException, and ResourceNotFoundException also when it has none.
    """
    resource = await resources.find(ctx, params["ResourceARN"])
    entry = await ctx.server.engine.metadata.get(records.policy_key(*resource))
    if entry is None:
        raise rules.not_found(f"Resource policy not found for {params['ResourceARN']}.")
    return {"Policy": records.decode_policy(entry.value).policy}


async def delete_resource_policy(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Take the policy of the stream, consumer or queue of `ResourceARN` away.

    Raises InvalidArgumentException, and ResourceNotFoundException also when it has none.
    """
    resource = await resources.find(ctx, params["ResourceARN"])
    metadata = ctx.server.engine.metadata
    key = records.policy_key(*resource)
    if await metadata.get(key) is None:
        raise rules.not_found(f"Resource policy not found for {params['ResourceARN']}.")
    await metadata.delete(key)
    return {}


def check_policy(text: str, arn: str) -> None:
    """Raise InvalidArgumentException unless `text` is a policy for the resource `arn`."""
    if len(text.encode()) > limits.POLICY_BYTES:
        raise rules.invalid_argument(f"A resource policy has up to {limits.POLICY_BYTES} bytes.")
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
        raise rules.invalid_argument("The Policy is not a policy document.")
    statements = _listed(policy.get("Statement"))
    if not statements:
        raise rules.invalid_argument("The Policy has no Statement.")
    for statement in statements:
        _check_statement(statement, arn)


def _check_statement(statement: Any, arn: str) -> None:
    """AWS: each statement names whom it is about, actions of Kinesis, and this resource."""
    if not isinstance(statement, dict) or not statement.keys() <= _STATEMENT_MEMBERS:
        raise rules.invalid_argument("A Statement of the Policy has members that there are none of.")
    if statement.get("Effect") not in ("Allow", "Deny") or not isinstance(statement.get("Sid", ""), str):
        raise rules.invalid_argument("The Effect of each Statement of the Policy must be Allow or Deny.")
    principal = statement.get("Principal")
    if principal != "*" and not (isinstance(principal, dict) and principal):
        raise rules.invalid_argument("Each Statement of the Policy must have a Principal.")
    actions = _listed(statement.get("Action"))
    if not actions or not all(isinstance(each, str) and each.lower().startswith("kinesis:") for each in actions):
        raise rules.invalid_argument("Each Statement of the Policy must have an Action, which is one of kinesis.")
    named = _listed(statement.get("Resource"))
    if not named or any(each != arn for each in named):
        raise rules.invalid_argument(f"The Resource of each Statement of the Policy must be {arn}.")
    condition = statement.get("Condition", {})
    if not isinstance(condition, dict) or not all(isinstance(operands, dict) for operands in condition.values()):
        raise rules.invalid_argument("A Condition of the Policy is not well formed.")


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
