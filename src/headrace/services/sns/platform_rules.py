"""What SNS demands of platform applications and of the endpoints registered with them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from headrace.errors import ServiceError
from headrace.services.sns import limits
from headrace.services.sns.rules import invalid_parameter, read_boolean

PLATFORMS: Final = (
    "ADM",
    "APNS",
    "APNS_SANDBOX",
    "APNS_VOIP",
    "APNS_VOIP_SANDBOX",
    "BAIDU",
    "GCM",
    "MACOS",
    "MACOS_SANDBOX",
    "MPNS",
    "WNS",
)
APPLE: Final = frozenset({"APNS", "APNS_SANDBOX", "APNS_VOIP", "APNS_VOIP_SANDBOX", "MACOS", "MACOS_SANDBOX"})

_NAME: Final = re.compile(rf"[A-Za-z0-9_.-]{{1,{limits.APPLICATION_NAME_CHARS}}}").fullmatch
_HEX: Final = re.compile(r"[0-9a-fA-F]+").fullmatch
_SECRETS: Final = ("PlatformCredential", "PlatformPrincipal")
EVENTS: Final = ("EventEndpointCreated", "EventEndpointUpdated", "EventEndpointDeleted", "EventDeliveryFailure")
_APPLE_ONLY: Final = ("ApplePlatformBundleID", "ApplePlatformTeamID")
_ROLES: Final = ("SuccessFeedbackRoleArn", "FailureFeedbackRoleArn")
_RATE: Final = "SuccessFeedbackSampleRate"
_APPLICATION_ATTRIBUTES: Final = frozenset({*_SECRETS, *EVENTS, *_APPLE_ONLY, *_ROLES, _RATE, "Enabled"})
_ENDPOINT_ATTRIBUTES: Final = frozenset({"CustomUserData", "Enabled", "Token"})
_BAIDU_ATTRIBUTES: Final = frozenset({"ChannelId", "UserId"})
_MAX_RATE: Final = 100
_MAX_RATE_DIGITS: Final = 3


# Errors


def no_such_application() -> ServiceError:
    """AWS's NotFound for a platform application."""
    return ServiceError("NotFound", "PlatformApplication does not exist")


def no_such_endpoint() -> ServiceError:
    """AWS's NotFound for an endpoint."""
    return ServiceError("NotFound", "Endpoint does not exist")


def _bad(problem: str) -> ServiceError:
    return invalid_parameter(f"Attributes Reason: {problem}")


# Applications


def check_new_application(name: str, platform: str, attributes: Mapping[str, str]) -> None:
    """Raise InvalidParameter unless CreatePlatformApplication may make such an application."""
    if not _NAME(name):
        raise invalid_parameter("Name Reason: cannot be empty" if not name else f"Name Reason: {_NAME_RULE}")
    if platform not in PLATFORMS:
        raise invalid_parameter(f"Platform Reason: {platform} is not supported")
    check_application(platform, attributes)
    needed = ("PlatformCredential",) if platform == "GCM" else _SECRETS
    for each in needed:
        if not attributes.get(each):
            raise _bad(f"Invalid value for attribute: {each}: cannot be empty")
    if platform in APPLE and any(each in attributes for each in _APPLE_ONLY):
        for each in _APPLE_ONLY:
            if not attributes.get(each):
                raise _bad(f"Invalid value for attribute: {each}: cannot be empty")


_NAME_RULE: Final = (
    "must be made up of only uppercase and lowercase ASCII letters, numbers, underscores, hyphens, and periods, "
    f"and must be between 1 and {limits.APPLICATION_NAME_CHARS} characters long"
)


def check_application(platform: str, attributes: Mapping[str, str]) -> None:
    """Raise InvalidParameter unless an application of that platform may be given these attributes."""
    for name, value in attributes.items():
        known = name in _APPLICATION_ATTRIBUTES and (platform in APPLE or name not in _APPLE_ONLY)
        if not known:
            raise _bad(f"Invalid attribute name: {name}")
        if problem := _application_problem(name, value):
            raise _bad(f"Invalid value for attribute: {name}: {problem}")


def _application_problem(name: str, value: str) -> str | None:
    if len(value.encode("utf-8", "replace")) > limits.CREDENTIAL_BYTES:
        return f"must be at most {limits.CREDENTIAL_BYTES} bytes"
    if name == "Enabled":
        return None if read_boolean(value) else "must be true or false"
    if name in EVENTS and value and (not value.startswith("arn:") or ":sns:" not in value):
        return "must be the ARN of a topic"
    if name in _ROLES and value and (not value.startswith("arn:") or ":role/" not in value):
        return "must be the ARN of a role"
    if name == _RATE and value:
        number = value.isascii() and value.isdecimal() and len(value) <= _MAX_RATE_DIGITS and int(value) <= _MAX_RATE
        return None if number else f"must be a whole number from 0 to {_MAX_RATE}"
    return None


def merge_application(stored: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """An application's attributes after some were set; an empty value takes one away."""
    merged = {**stored, **given}
    if "Enabled" in given:
        merged["Enabled"] = str(read_boolean(given["Enabled"]))
    return {name: value for name, value in merged.items() if value}


def show_application(platform: str, stored: Mapping[str, str]) -> dict[str, str]:
    """What GetPlatformApplicationAttributes says. AWS: credentials go in, and never come out."""
    shown = {"Enabled": "true", **{name: value for name, value in stored.items() if name not in _SECRETS}}
    if platform in APPLE:
        shown["AuthenticationMethod"] = "token" if "ApplePlatformTeamID" in stored else "certificate"
    elif platform == "GCM":
        account = stored.get("PlatformCredential", "").lstrip().startswith("{")
        shown["AuthenticationMethod"] = "token" if account else "key"
    return shown


# Endpoints


def new_endpoint(platform: str, token: str, user_data: str | None, given: Mapping[str, str]) -> dict[str, str]:
    """A new endpoint's attributes as they are stored. Raises InvalidParameter."""
    attributes = {"Enabled": "true", **given, "Token": token}
    if user_data is not None:
        attributes["CustomUserData"] = user_data
    if platform == "BAIDU":
        for name in sorted(_BAIDU_ATTRIBUTES):
            if not attributes.get(name):
                raise _bad(f"Invalid value for attribute: {name}: cannot be empty")
        if attributes["ChannelId"] != token:
            raise invalid_parameter("Token Reason: must be the ChannelId")
    return change_endpoint(platform, {}, attributes)


def change_endpoint(platform: str, stored: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """An endpoint's attributes after some were set; empty CustomUserData takes it away. Raises InvalidParameter."""
    known = _ENDPOINT_ATTRIBUTES | (_BAIDU_ATTRIBUTES if platform == "BAIDU" else frozenset())
    for name in given:
        if name not in known:
            raise _bad(f"Invalid attribute name: {name}")
    merged = {**stored, **given}
    merged["Token"] = check_token(platform, merged["Token"])
    enabled = read_boolean(merged["Enabled"])
    if enabled is None:
        raise _bad("Invalid value for attribute: Enabled: must be true or false")
    merged["Enabled"] = enabled
    if len(merged.get("CustomUserData", "").encode("utf-8", "replace")) > limits.USER_DATA_BYTES:
        raise invalid_parameter(f"CustomUserData Reason: must be at most {limits.USER_DATA_BYTES} bytes long in UTF-8")
    return {name: value for name, value in merged.items() if value}


def check_token(platform: str, token: str) -> str:
    """A device token as it is stored. AWS: that of Apple's is shown in lower case. Raises InvalidParameter."""
    if not token:
        raise invalid_parameter("Token Reason: cannot be empty")
    if len(token) > limits.DEVICE_TOKEN_CHARS or not token.isprintable():
        raise invalid_parameter(f"Token Reason: must be at most {limits.DEVICE_TOKEN_CHARS} printable characters long")
    if platform not in APPLE:
        return token
    if not _HEX(token):
        # AWS: says so of anything that is not in hexadecimal.
        raise invalid_parameter("Token Reason: iOS device tokens must be hexadecimal")
    return token.lower()


def already_there(arn: str) -> ServiceError:
    """AWS's refusal to register a token anew with other attributes; SDKs' users look for the ARN in this text."""
    return invalid_parameter(
        f"Token Reason: Endpoint {arn} already exists with the same Token, but different attributes."
    )
