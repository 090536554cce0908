"""Data protection policies: their checks, and what they do to messages on their way in and out.

Deny refuses a message, Deidentify masks or removes what was found, Audit reports it. Reports are lines of the server's
log (`data protection audit`): the destinations that AWS delivers them to are not served here, and are named in them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
import structlog

from headrace.context import Principal
from headrace.errors import ServiceError
from headrace.services.sns import limits, sensitive_data
from headrace.services.sns.records import Publication
from headrace.services.sns.rules import invalid_parameter
from headrace.services.sns.sensitive_data import Span

INBOUND: Final = "Inbound"
OUTBOUND: Final = "Outbound"

_VERSION: Final = "2021-06-01"
_ARN_PREFIX: Final = "arn:aws:dataprotection::aws:data-identifier/"
_MEMBERS: Final = frozenset({"Name", "Description", "Version", "Statement", "Configuration"})
_DESTINATIONS: Final = {"CloudWatchLogs": "LogGroup", "Firehose": "DeliveryStream", "S3": "Bucket"}
_SAMPLE_RATES: Final = range(100)
_RATE_DIGITS: Final = 2
_PERCENT: Final = 100

log = structlog.get_logger()


class Statement(msgspec.Struct, frozen=True):
    """What is done with data of the kinds `identifiers` in messages of a direction, for some principals or all.

    `operation` is Deny, Deidentify or Audit; `mask` is what stands for each character that is found, "" for nothing.
    """

    direction: str
    principals: tuple[str, ...]
    identifiers: tuple[str, ...]
    operation: str
    mask: str = ""
    sample_rate: int = 0
    findings_to: dict[str, str] = {}
    no_findings_to: dict[str, str] = {}

    def applies_to(self, arn: str) -> bool:
        """Whether it is about what a principal publishes, or is sent."""
        if "*" in self.principals:
            return True
        account = arn.split(":")[4] if arn.count(":") > 4 else ""  # noqa: PLR2004 - an ARN's fifth part
        return arn in self.principals or account in self.principals


class Protection(msgspec.Struct, frozen=True):
    """A topic's policy, compiled."""

    inbound: tuple[Statement, ...]
    outbound: tuple[Statement, ...]


class Finding(msgspec.Struct, frozen=True):
    """What an Audit statement found, by kind, and where that is to be reported."""

    found: dict[str, list[Span]]
    destinations: dict[str, str]


# What messages go through


def inbound(protection: Protection, publication: Publication, principal: Principal) -> Publication:
    """The publication as the topic takes it. Raises AuthorizationError when it has what the policy denies."""
    changed, findings = inspect(protection.inbound, publication, principal.arn)
    for finding in findings:
        _report(finding, publication, principal.arn)
    if changed is None:
        raise ServiceError(
            "AuthorizationError",
            "The message has sensitive data that the data protection policy of the topic does not let in",
            status=403,
        )
    return changed


def outbound(protection: Protection, publication: Publication, principal_arn: str) -> Publication | None:
    """The publication as a subscriber gets it; None when it has what the policy does not let out to that principal."""
    return inspect(protection.outbound, publication, principal_arn)[0]


def inspect(
    statements: Iterable[Statement], publication: Publication, principal_arn: str
) -> tuple[Publication | None, list[Finding]]:
    """What the statements make of a message (None: refused), and what is to be reported. Pure.

    AWS: it is the text of a message that is looked at, in the form for each protocol where there are several.
    """
    concerned = [each for each in statements if each.applies_to(principal_arn)]
    findings = [
        _audit(each, publication)
        for each in concerned
        if each.operation == "Audit" and zlib.crc32(publication.message_id.encode()) % _PERCENT < each.sample_rate
    ]
    for statement in concerned:
        if statement.operation == "Deny" and any(
            sensitive_data.find(text, statement.identifiers) for text in _texts(publication)
        ):
            return None, findings
    masking = [each for each in concerned if each.operation == "Deidentify"]
    if not masking:
        return publication, findings
    return (
        msgspec.structs.replace(
            publication,
            message=_without(publication.message, masking),
            bodies={name: _without(text, masking) for name, text in publication.bodies.items()},
        ),
        findings,
    )


def _texts(publication: Publication) -> list[str]:
    return [*publication.bodies.values()] or [publication.message]


def _audit(statement: Statement, publication: Publication) -> Finding:
    found: dict[str, list[Span]] = {}
    for text in _texts(publication):
        for name, spans in sensitive_data.find(text, statement.identifiers).items():
            found.setdefault(name, []).extend(spans)
    return Finding(found, statement.findings_to if found else statement.no_findings_to)


def _without(text: str, masking: list[Statement]) -> str:
    for statement in masking:
        found = sensitive_data.find(text, statement.identifiers)
        spans = [span for each in found.values() for span in each]
        if spans:
            text = sensitive_data.replace(text, spans, statement.mask)
    return text


def _report(finding: Finding, publication: Publication, principal_arn: str) -> None:
    """AWS: the report says what was found and where, never the data itself."""
    if not finding.destinations:
        return
    log.info(
        "data protection audit",
        message_id=publication.message_id,
        topic=publication.topic_arn,
        principal=principal_arn,
        findings=[
            {"name": name, "count": len(spans), "detections": [{"start": start, "end": end} for start, end in spans]}
            for name, spans in finding.found.items()
        ],
        destinations=finding.destinations,
    )


# Policies


def compile_policy(text: str) -> Protection:
    """The policy of a text. Raises InvalidParameter for one that is not in order, or asks for what is not served."""
    if len(text) > limits.DATA_PROTECTION_CHARS:
        raise _invalid(f"it must be at most {limits.DATA_PROTECTION_CHARS} characters long")
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError):
        raise _invalid("failed to parse JSON.") from None
    if not isinstance(policy, dict):
        raise _invalid("it must be a JSON object")
    for name in policy:
        if name not in _MEMBERS:
            raise _invalid(f"Unknown member {name}")
    if not isinstance(policy.get("Name"), str) or not policy["Name"]:
        raise _invalid("Name is required")
    if policy.get("Version") != _VERSION:
        raise _invalid(f"Version must be {_VERSION}")
    if policy.get("Configuration"):
        raise _invalid("Configuration: custom data identifiers are not served by Headrace")
    statements = policy.get("Statement")
    if not isinstance(statements, list) or not statements:
        raise _invalid("Statement must be a list of at least one statement")
    read = [_read_statement(each) for each in statements]
    return Protection(
        inbound=tuple(each for each in read if each.direction == INBOUND),
        outbound=tuple(each for each in read if each.direction == OUTBOUND),
    )


def _invalid(what: str) -> ServiceError:
    return invalid_parameter(f"DataProtectionPolicy Reason: {what}")


def _read_statement(given: Any) -> Statement:
    if not isinstance(given, dict):
        raise _invalid("a statement must be a JSON object")
    direction = given.get("DataDirection")
    if direction not in (INBOUND, OUTBOUND):
        raise _invalid(f"DataDirection must be {INBOUND} or {OUTBOUND}")
    operations = given.get("Operation", given.get("Operations"))
    if not isinstance(operations, dict) or len(operations) != 1:
        raise _invalid("Operation must be one of Audit, Deidentify and Deny")
    ((operation, options),) = operations.items()
    if operation not in _OPTIONS or not isinstance(options, dict):
        raise _invalid("Operation must be one of Audit, Deidentify and Deny")
    if operation == "Audit" and direction != INBOUND:
        raise _invalid("Audit is for inbound messages only")
    return Statement(
        direction=direction,
        principals=_read_strings(given, "Principal"),
        identifiers=tuple(_read_identifier(each) for each in _read_strings(given, "DataIdentifier")),
        operation=operation,
        **_OPTIONS[operation](options),
    )


def _read_strings(given: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = given.get(name)
    if not isinstance(values, list) or not values or not all(isinstance(each, str) and each for each in values):
        raise _invalid(f"{name} must be a list of at least one string")
    return tuple(values)


def _read_identifier(text: str) -> str:
    name = text.removeprefix(_ARN_PREFIX)
    if name not in sensitive_data.DETECTORS or name == text:
        known = ", ".join(sorted(sensitive_data.DETECTORS))
        raise _invalid(f"DataIdentifier {text} is not served by Headrace. There are, behind {_ARN_PREFIX}: {known}")
    return name


def _read_deny(options: Mapping[str, Any]) -> dict[str, Any]:
    if options:
        raise _invalid("Deny takes no options")
    return {}


def _read_deidentify(options: Mapping[str, Any]) -> dict[str, Any]:
    match options:
        case {"RedactConfig": dict(config), **rest} if not config and not rest:
            return {}
        case {"MaskConfig": dict(config), **rest} if not rest and config.keys() <= {"MaskWithCharacter"}:
            mask = config.get("MaskWithCharacter", "#")
            if isinstance(mask, str) and len(mask) == 1 and mask.isascii() and mask.isprintable():
                return {"mask": mask}
            raise _invalid("MaskWithCharacter must be one printable ASCII character")
    raise _invalid("Deidentify takes either MaskConfig or RedactConfig")


def _read_audit(options: Mapping[str, Any]) -> dict[str, Any]:
    given = options.get("SampleRate")
    rate = int(given) if isinstance(given, str) and given.isdecimal() and len(given) <= _RATE_DIGITS else given
    if type(rate) is not int or rate not in _SAMPLE_RATES:
        raise _invalid("SampleRate must be an integer from 0 to 99")
    found, none = (_read_destinations(options.get(f"{name}Destination")) for name in ("Findings", "NoFindings"))
    if not found and not none:
        raise _invalid("Audit takes a FindingsDestination or a NoFindingsDestination")
    return {"sample_rate": rate, "findings_to": found, "no_findings_to": none}


def _read_destinations(given: Any) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise _invalid("a destination must be a JSON object")
    result = {}
    for service, details in given.items():
        member = _DESTINATIONS.get(service)
        name = details.get(member) if member is not None and isinstance(details, dict) else None
        if not isinstance(name, str) or not name:
            raise _invalid(f"a destination is one of {', '.join(_DESTINATIONS)}, each with its name")
        if service == "CloudWatchLogs" and not name.startswith("/aws/vendedlogs/"):
            raise _invalid("the name of a LogGroup must start with /aws/vendedlogs/")
        result[service] = name
    return result


_OPTIONS: Final = {"Audit": _read_audit, "Deidentify": _read_deidentify, "Deny": _read_deny}
