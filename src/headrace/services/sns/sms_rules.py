"""What SNS demands of SMS settings and of the messages themselves. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from headrace.errors import ServiceError
from headrace.services.sns import limits
from headrace.services.sns.endpoints import is_phone_number
from headrace.services.sns.records import MessageAttribute
from headrace.services.sns.rules import invalid_parameter

TYPES: Final = ("Promotional", "Transactional")
ATTRIBUTES: Final = (
    "DefaultSMSType",
    "DefaultSenderID",
    "DeliveryStatusIAMRole",
    "DeliveryStatusSuccessSamplingRate",
    "MonthlySpendLimit",
    "UsageReportS3Bucket",
)
PRICE: Final = 645
"""What a part of a message counts against the spend limit, in hundred-thousandths of a dollar (AWS's price for the US).

Nobody is charged: it makes a limit mean about as many messages as it does on AWS.
"""

UNITS_PER_DOLLAR: Final = 100_000

_SENDER: Final = re.compile(rf"(?=[0-9 -]*[A-Za-z])[A-Za-z0-9 -]{{1,{limits.SMS_SENDER_CHARS}}}").fullmatch
_AMOUNT: Final = re.compile(r"[0-9]{1,9}").fullmatch
_PRICE: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,5})?").fullmatch
_PERCENT: Final = 100
_PREFIX: Final = "AWS.SNS.SMS."
STOP_WORDS: Final = frozenset(
    {"ARRET", "CANCEL", "END", "OPT-OUT", "OPTOUT", "QUIT", "REMOVE", "STOP", "TD", "UNSUBSCRIBE"}
)
"""AWS: a person who answers with one of these has opted out."""


class Manner(msgspec.Struct, frozen=True):
    """How a message is sent: its sender ("" for the number that is set), and whether it is transactional."""

    sender: str
    transactional: bool
    max_price: int | None


def check_settings(attributes: Mapping[str, str]) -> None:
    """Raise InvalidParameter unless SetSMSAttributes takes these."""
    for name, value in attributes.items():
        if name not in ATTRIBUTES:
            raise invalid_parameter(f"Attributes Reason: Invalid attribute name: {name}")
        problem = _problem(name, value) if value else None
        if problem:
            raise invalid_parameter(f"Attributes Reason: Invalid value for attribute: {name}: {problem}")


def _problem(name: str, value: str) -> str | None:
    if name == "DefaultSMSType" and value not in TYPES:
        return f"must be {' or '.join(TYPES)}"
    if name == "DefaultSenderID" and not _SENDER(value):
        return f"must be 1 to {limits.SMS_SENDER_CHARS} alphanumeric characters with a letter among them"
    if name == "DeliveryStatusIAMRole" and (not value.startswith("arn:") or ":role/" not in value):
        return "must be the ARN of a role"
    if name == "MonthlySpendLimit" and not _AMOUNT(value):
        return "must be a whole number of dollars"
    if name == "DeliveryStatusSuccessSamplingRate" and not (_AMOUNT(value) and int(value) <= _PERCENT):
        return f"must be a whole number from 0 to {_PERCENT}"
    return None


def manner(settings: Mapping[str, str], attributes: Mapping[str, MessageAttribute]) -> Manner:
    """How to send a message: as its attributes say (`AWS.SNS.SMS.SMSType`, …), else as the account's settings do."""

    def of(name: str, setting: str) -> str:
        given = attributes.get(f"{_PREFIX}{name}")
        return given.text if given is not None and given.text else settings.get(setting, "")

    kind = of("SMSType", "DefaultSMSType") or TYPES[0]
    number = attributes.get("AWS.MM.SMS.OriginationNumber")
    sender = of("SenderID", "DefaultSenderID")
    if number is not None and is_phone_number(number.text):
        sender = number.text
    price = attributes.get(f"{_PREFIX}MaxPrice")
    max_price = None
    if price is not None and _PRICE(price.text):
        max_price = int(Decimal(price.text) * UNITS_PER_DOLLAR)
    valid = bool(_SENDER(sender)) or is_phone_number(sender)
    return Manner(sender if valid else "", kind == "Transactional", max_price)


def check_number(number: str) -> str:
    """A phone number in E.164. Raises InvalidParameter."""
    if not is_phone_number(number):
        raise invalid_parameter(f"PhoneNumber Reason: {number} does not meet the E164 format")
    return number


def no_such_number(number: str) -> ServiceError:
    """AWS's ResourceNotFound for a number that is not in the sandbox."""
    return ServiceError("ResourceNotFound", f"The phone number {number} is not in the SMS sandbox", status=404)


def is_stop(text: str) -> bool:
    """Whether what a person answered means that no more is wanted."""
    return text.strip().upper() in STOP_WORDS
