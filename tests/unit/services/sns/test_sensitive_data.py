from __future__ import annotations

import pytest

from headrace.services.sns import sensitive_data

FOUND = [
    ("EmailAddress", "write to joe.b+x@mail.example.com.", ["joe.b+x@mail.example.com"]),
    ("EmailAddress", "a@b, @example.com, joe@localhost", []),
    ("CreditCardNumber", "4111 1111 1111 1111 and 5500-0000-0000-0004", ["4111 1111 1111 1111", "5500-0000-0000-0004"]),
    ("CreditCardNumber", "amex 378282246310005", ["378282246310005"]),
    ("CreditCardNumber", "wrong check digit: 4111111111111112", []),
    ("CreditCardNumber", "part of more: 94111111111111111, x4111111111111111", []),
    ("IpAddress", "from 10.0.0.1 to 2001:db8::1, not 256.1.1.1", ["10.0.0.1", "2001:db8::1"]),
    ("IpAddress", "version 1.2.3.4.5, at 10:30:00, std::vector, ::", []),
    ("BankAccountNumber-DE", "to DE89 3704 0044 0532 0130 00 please", ["DE89 3704 0044 0532 0130 00"]),
    ("BankAccountNumber-DE", "DE89370400440532013000", ["DE89370400440532013000"]),
    ("BankAccountNumber-DE", "DE88370400440532013000 GB82WEST12345698765432", []),
    ("BankAccountNumber-GB", "GB82 WEST 1234 5698 7654 32 IS RIGHT", ["GB82 WEST 1234 5698 7654 32"]),
    ("BankAccountNumber-FR", "FR1420041010050500013M02606", ["FR1420041010050500013M02606"]),
    ("Ssn-US", "123-45-6789", ["123-45-6789"]),
    ("Ssn-US", "SSN: 123456789, social security number 987-65-4321", ["123456789"]),
    ("Ssn-US", "666-45-6789 000-45-6789 900-45-6789 123-00-6789 123-45-0000 123456789", []),
    (
        "PhoneNumber-US",
        "(212) 555-0123, 212-555-0123, +1 212 555 0123",
        ["(212) 555-0123", "212-555-0123", "+1 212 555 0123"],
    ),
    ("PhoneNumber-US", "1234567890, 112-555-0123", []),
    ("PhoneNumber-GB", "+44 7911 123456", ["+44 7911 123456"]),
    ("PhoneNumber-DE", "+49 30 901820", ["+49 30 901820"]),
    ("PhoneNumber-FR", "01 23 45 67 89", ["01 23 45 67 89"]),
    (
        "AwsSecretKey",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"],
    ),
    ("AwsSecretKey", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", []),
    (
        "PuttyPrivateKey",
        "PuTTY-User-Key-File-2: ssh-rsa\nAAAA\nPrivate-MAC: 0a1b\nmore",
        ["PuTTY-User-Key-File-2: ssh-rsa\nAAAA\nPrivate-MAC: 0a1b"],
    ),
]


@pytest.mark.parametrize(("name", "text", "expected"), FOUND)
def test_what_is_found(name, text, expected):
    found = sensitive_data.find(text, (name,)).get(name, [])
    assert [text[start:end] for start, end in found] == expected


@pytest.mark.parametrize("title", ["OPENSSH PRIVATE KEY", "RSA PRIVATE KEY", "PRIVATE KEY", "PGP PRIVATE KEY BLOCK"])
def test_private_keys(title):
    marks = [f"-----{word} {title}-----" for word in ("BEGIN", "END")]
    text = f"see {marks[0]}\nAAAA\n{marks[1]}."
    found = sensitive_data.find(text, ("OpenSshPrivateKey", "PgpPrivateKey", "PkcsPrivateKey"))
    ((span,),) = found.values()
    assert text[slice(*span)] == text[4:-1]


def test_check_digits():
    assert sensitive_data.luhn([7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 3])
    assert not sensitive_data.luhn([7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 4])


def test_replacing():
    assert sensitive_data.replace("a secret b", [(2, 8)], "#") == "a ###### b"
    assert sensitive_data.replace("a secret b", [(2, 8)], "") == "a  b"
    # What overlaps is masked once.
    assert sensitive_data.replace("abcdef", [(3, 5), (1, 4), (2, 3)], "*") == "a****f"


@pytest.mark.parametrize(
    "char", ["1", "a", "@", ".", ":", "-", " ", "A1", "1 ", "a@", "1.", "+1 ", "DE", "PuTTY-User-Key-File-2: "]
)
def test_long_texts_of_one_kind_take_no_time_to_speak_of(char):
    # A pattern that went back and forth would not come to an end on these.
    text = char * (200_000 // len(char))
    assert isinstance(sensitive_data.find(text, tuple(sensitive_data.DETECTORS)), dict)


def test_keys_that_do_not_end_take_no_time_to_speak_of():
    begins = f"-----{'BEGIN'} PRIVATE KEY-----"
    assert sensitive_data.find(begins * 9_000, ("PkcsPrivateKey",)) == {}
