"""What SNS stores of mobile push: platform applications, and the endpoints (devices) that are registered with them."""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

from headrace.services.sns import rules

_APPLICATION: Final = re.compile(r"arn:[a-z-]+:sns:([a-z0-9-]+):([0-9]{12}):app/([A-Z_]+)/([A-Za-z0-9_.-]+)").fullmatch
_ENDPOINT: Final = re.compile(
    r"arn:[a-z-]+:sns:([a-z0-9-]+):([0-9]{12}):endpoint/([A-Z_]+)/([A-Za-z0-9_.-]+)/([A-Za-z0-9-]+)"
).fullmatch


class Application(msgspec.Struct, frozen=True):
    """Which platform application is meant."""

    region: str
    account: str
    platform: str
    name: str

    @property
    def arn(self) -> str:
        """Its ARN."""
        partition = rules.partition(self.region)
        return f"arn:{partition}:sns:{self.region}:{self.account}:app/{self.platform}/{self.name}"

    @property
    def key(self) -> str:
        """The key of its record."""
        return f"{applications_prefix(self.region, self.account)}{self.platform}/{self.name}"

    def endpoint_arn(self, endpoint_id: str) -> str:
        """The ARN of one of its endpoints."""
        partition = rules.partition(self.region)
        return f"arn:{partition}:sns:{self.region}:{self.account}:endpoint/{self.platform}/{self.name}/{endpoint_id}"

    def endpoint_key(self, endpoint_id: str) -> str:
        """The key of one of its endpoints' record; with an empty id, the prefix of all."""
        return f"sns/{self.region}/{self.account}/device/{self.platform}/{self.name}/{endpoint_id}"

    def token_key(self, token: str) -> str:
        """The key that tells which endpoint has a device token, so that one has it only; its value is the id."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        return f"sns/{self.region}/{self.account}/devicetoken/{self.platform}/{self.name}/{digest}"


class ApplicationRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """A platform application. `attributes` holds what was set, credentials included; these are never shown."""

    created_at_ms: int
    attributes: dict[str, str] = {}


class EndpointRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="v", tag=1):
    """A device. `attributes` holds its Token, whether it is Enabled, and what else was set."""

    created_at_ms: int
    attributes: dict[str, str] = {}

    @property
    def token(self) -> str:
        """What the push service knows the device by."""
        return self.attributes["Token"]

    @property
    def enabled(self) -> bool:
        """Whether messages are to be delivered to it."""
        return self.attributes["Enabled"] == "true"


encode: Final = msgspec.msgpack.Encoder().encode
decode_application: Final = msgspec.msgpack.Decoder(ApplicationRecord).decode
decode_endpoint: Final = msgspec.msgpack.Decoder(EndpointRecord).decode


def applications_prefix(region: str, account: str) -> str:
    """What the keys of an account's applications begin with."""
    return f"sns/{region}/{account}/application/"


def parse_application(arn: str) -> Application | None:
    """The application of an ARN; None for what is no such ARN."""
    found = _APPLICATION(arn)
    return Application(*found.groups()) if found else None


def parse_endpoint(arn: str) -> tuple[Application, str] | None:
    """The application and the id of an endpoint's ARN; None for what is no such ARN."""
    found = _ENDPOINT(arn)
    return (Application(*found.groups()[:4]), found[5]) if found else None
