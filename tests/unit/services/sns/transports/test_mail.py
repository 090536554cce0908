import email
import email.policy

import pytest

from headrace.services.sns.envelopes import Email
from headrace.services.sns.transports import mail


def composed(content, **options):
    given = {"to": "ada@example.com", "sender": "no-reply@shop.example", "name": "", "message_id": "m1", "at_ms": 0}
    octets = mail.compose(content, **(given | options)).as_bytes()
    return octets, email.message_from_bytes(octets, policy=email.policy.default)


def test_nothing_ends_a_header_early():
    octets, read = composed(Email("one\r\nBcc: eve@example.com", "text"), name="Shop\nX: y")
    assert read["bcc"] is None
    assert read["x"] is None
    assert read["subject"] == "one Bcc: eve@example.com"
    assert octets.count(b"\r\n\r\n") == 1


def test_texts_of_all_kinds():
    _, read = composed(Email("Größe 👋", "a\n.\nb" + "x" * 3000 + "\ud83d"))
    assert read["subject"] == "Größe 👋"
    assert read.get_content().replace("\r\n", "\n").startswith("a\n.\nb" + "x" * 3000 + "\N{REPLACEMENT CHARACTER}")
    assert max(map(len, composed(Email("s", "x" * 5000))[0].splitlines())) < 998


def test_how_to_leave():
    link = (
        "https://headrace.example/?Action=Unsubscribe&SubscriptionArn=arn:aws:sns:us-east-1:000000000000:t:" + "1" * 36
    )
    _, read = composed(Email("s", "t", unsubscribe_url=link))
    assert read["list-unsubscribe"].replace(" ", "") == f"<{link}>"
    _, read = composed(Email("s", "t"))
    assert read["list-unsubscribe"] is None


def test_text_and_html():
    _, read = composed(Email("s", "plain", "<p>rich</p>"))
    assert read.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail", ("mail", 25, "", "", False, "auto")),
        ("smtp://u:p%40@mail?starttls=required", ("mail", 587, "u", "p@", False, "required")),
        ("smtps://u:p@mail", ("mail", 465, "u", "p", True, "auto")),
        ("smtp://[::1]:2525?starttls=never", ("::1", 2525, "", "", False, "never")),
    ],
)
def test_mail_servers(url, expected):
    assert mail.read_server(url) == mail.MailServer(*expected)


@pytest.mark.parametrize("url", ["mail", "http://mail", "smtp://", "smtp://mail:0x", "smtp://mail?starttls=maybe"])
def test_what_is_no_mail_server(url):
    with pytest.raises(ValueError, match=r"smtp|Port|starttls"):
        mail.read_server(url)


@pytest.mark.parametrize(
    ("text", "expected"), [("a@b.example", True), ("a@b\r\nx", False), ("a", False), ("é@b", False)]
)
def test_senders(text, expected):
    assert mail.is_address(text) is expected
