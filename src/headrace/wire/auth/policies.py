"""Policies of resources: whether one lets a service act for one of its own resources, as a topic sends to a queue.

A policy is a list of statements. A statement is for a call when its principal, action, resource and conditions are; one
that denies wins over all that allow, and what none allows is refused. What cannot be read lets nobody in. Follows the
IAM User Guide, "Policy evaluation logic" and "JSON policy elements"; `conditions` has the conditions.
"""

from __future__ import annotations

import enum
import functools
import json
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from headrace import limits
from headrace.clock import Clock
from headrace.context import Principal, ResourcePolicy
from headrace.errors import ServiceError
from headrace.wire.auth import conditions
from headrace.wire.auth.conditions import Keys

_WITH_VARIABLES: Final = "2012-10-17"
_TIMES: Final = ("aws:currenttime", "aws:epochtime")


class Verdict(enum.Enum):
    """What a policy says of a call: `SILENT` when no statement is for it, which refuses it; `TIMED`: it depends."""

    ALLOWED = "allowed"
    DENIED = "denied"
    SILENT = "silent"
    TIMED = "timed"


class Policy:
    """A policy document as it is asked: its statements, and whether what they say may depend on the time (`timed`)."""

    __slots__ = ("statements", "timed", "variables")

    def __init__(self, text: str) -> None:
        """Read a document that its service has checked for form."""
        document = json.loads(text)
        self.statements: list[dict[str, Any]] = _listed(document["Statement"])
        self.variables = document.get("Version") == _WITH_VARIABLES
        self.timed = any(key in text.lower() for key in _TIMES)


class Policies:
    """Asks resources' policies; what they have said is kept.

    `strict`: a resource without a policy lets no service in, as on AWS; else it lets in all.
    """

    def __init__(self, clock: Clock, *, strict: bool = False) -> None:
        self._clock = clock
        self._strict = strict
        self._read = functools.lru_cache(maxsize=limits.MAX_POLICIES_READ)(Policy)
        self._always = functools.lru_cache(maxsize=limits.MAX_POLICY_DECISIONS)(self._ask)

    def check(self, resource: ResourcePolicy, principal: Principal, permission: str) -> None:
        """Raise ServiceError `AccessDenied` unless the resource lets the service do what `permission` names."""
        if not resource.policy and not self._strict:
            return
        verdict = self._always(resource, principal, permission)
        if verdict is Verdict.TIMED:
            now_s = self._clock.now_ms() // 1000
            verdict = decide(self._read(resource.policy), principal, permission, resource.arn, now_s)
        if verdict is not Verdict.ALLOWED:
            raise _refused(resource, principal, permission, verdict)

    def _ask(self, resource: ResourcePolicy, principal: Principal, permission: str) -> Verdict:
        """What holds at any time, or `TIMED`."""
        if not resource.policy:
            return Verdict.SILENT
        policy = self._read(resource.policy)
        return Verdict.TIMED if policy.timed else decide(policy, principal, permission, resource.arn, 0)


def _refused(resource: ResourcePolicy, principal: Principal, permission: str, verdict: Verdict) -> ServiceError:
    why = "its policy denies it" if verdict is Verdict.DENIED else "its policy does not allow it"
    return ServiceError(
        "AccessDenied",
        f"Access to the resource {resource.arn} is denied. {principal.service} may not perform {permission} "
        f"for {principal.source_arn}: {why if resource.policy else 'it has no policy'}.",
        status=403,
    )


def decide(policy: Policy, principal: Principal, permission: str, resource_arn: str, now_s: int) -> Verdict:
    """What a policy says of a service's call of `permission` (`sqs:SendMessage`) on the resource. Pure.

    `now_s` is the time in seconds since 1970, for conditions that ask for it.
    """
    asked = _Asked(principal, permission.lower(), resource_arn, _keys(principal, resource_arn, now_s))
    verdict = Verdict.SILENT
    for statement in policy.statements:
        denies = statement["Effect"] == "Deny"
        try:
            applies = _applies(statement, asked, variables=policy.variables)
        except ValueError:
            applies = denies
        if applies and denies:
            return Verdict.DENIED
        if applies:
            verdict = Verdict.ALLOWED
    return verdict


def _keys(principal: Principal, resource_arn: str, now_s: int) -> Keys:
    """The condition keys that AWS sets for a service's call. No address, no organisation: those are people's."""
    region, account = resource_arn.split(":")[3:5]
    keys = {
        "aws:currenttime": datetime.fromtimestamp(now_s, UTC).isoformat(),
        "aws:epochtime": str(now_s),
        "aws:principalisawsservice": "true",
        "aws:principalservicename": principal.service,
        "aws:requestedregion": region,
        "aws:resourceaccount": account,
        "aws:securetransport": "true",
        "aws:sourceaccount": principal.account,
        "aws:sourcearn": principal.source_arn,
        "aws:viaawsservice": "false",
    }
    return {name: (value,) for name, value in keys.items()} | {"aws:principalservicenameslist": _names(principal)}


def _names(principal: Principal) -> tuple[str, ...]:
    """A service's names as a principal: its own, and that of its region, which AWS wants for opt-in regions."""
    service, _, domain = principal.service.partition(".")
    region = principal.source_arn.split(":")[3]
    return (principal.service, f"{service}.{region}.{domain}")


# Statements


class _Asked(NamedTuple):
    """A call as statements are asked about it; the permission in lower case."""

    principal: Principal
    permission: str
    resource_arn: str
    keys: Keys


def _applies(statement: dict[str, Any], asked: _Asked, *, variables: bool) -> bool:
    """Whether a statement is for a call. Raises ValueError for conditions that cannot be read."""
    principals, excepted = _element(statement, "Principal")
    if _is_named(asked.principal, principals) == excepted:
        return False
    actions, excepted = _element(statement, "Action")
    if _is_listed(asked.permission, [each.lower() for each in _listed(actions)], None) == excepted:
        return False
    resources, excepted = _element(statement, "Resource")
    if _is_listed(asked.resource_arn, _listed(resources), asked.keys if variables else None) == excepted:
        return False
    return conditions.hold(statement.get("Condition", {}), asked.keys, variables=variables)


def _element(statement: dict[str, Any], name: str) -> tuple[Any, bool]:
    """An element of a statement, and whether it is the one that excepts (`NotAction`): there is one of both."""
    return (statement[name], False) if name in statement else (statement[f"Not{name}"], True)


def _is_named(principal: Principal, named: Any) -> bool:
    """Whether a service is among principals.

    AWS: `{"AWS": "*"}` is everyone, as `"*"` is, and so lets services in as well.
    """
    if named == "*" or "*" in _listed(named.get("AWS", [])):
        return True
    services = _listed(named.get("Service", []))
    return "*" in services or any(each in services for each in _names(principal))


def _is_listed(text: str, patterns: list[str], keys: Keys | None) -> bool:
    """Whether a text is as one of the patterns says. `keys` has what variables stand for, where there are any."""
    for each in patterns:
        try:
            if conditions.like(text, conditions.pattern_of(each, keys)):
                return True
        except LookupError:
            continue
    return False


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
