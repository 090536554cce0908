"""E-mail and email-json through a real mail server."""

import json
import subprocess
import sys

import pytest

ADDRESS = "ada@example.com"


@pytest.fixture
def mailed(mail_server, serve_with):
    """A Headrace and the mailbox that its e-mail goes to."""
    mailbox, port = mail_server()
    server = serve_with(smtp_url=f"smtp://127.0.0.1:{port}", smtp_from="orders@shop.example")
    return server, mailbox


@pytest.fixture
def subscribed(mailed, visit, link_in):
    """The SNS client, the mailbox and a topic with a confirmed subscription of that protocol."""

    def subscribe(protocol, **attributes):
        server, mailbox = mailed
        sns = server.client("sns")
        topic = sns.create_topic(Name="orders", Attributes=attributes)["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=ADDRESS)
        body = mailbox.expect(1)[0].get_body(("plain",)).get_content()
        visit(json.loads(body)["SubscribeURL"] if protocol == "email-json" else link_in(body))
        return sns, mailbox, topic

    return subscribe


def test_the_confirmation_and_its_link(mailed, visit, link_in):
    server, mailbox = mailed
    sns = server.client("sns")
    topic = sns.create_topic(Name="orders")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=ADDRESS)
    mail = mailbox.expect(1)[0]
    assert mail["to"] == ADDRESS
    assert mail["subject"] == "AWS Notification - Subscription Confirmation"
    assert mail["from"].addresses[0].addr_spec == "orders@shop.example"
    assert mailbox.envelopes[0].rcpt_tos == [ADDRESS]
    link = link_in(mail.get_body(("plain",)).get_content())
    assert link in mail.get_body(("html",)).get_content().replace("&amp;", "&")
    assert "ConfirmSubscriptionResponse" in visit(link)
    [found] = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert found["SubscriptionArn"].startswith(topic)


def test_a_notification_to_a_person(subscribed):
    sns, mailbox, topic = subscribed("email", DisplayName="Shop")
    sent = sns.publish(TopicArn=topic, Message="Größe ✓\nline 2", Subject="An order")
    mail = mailbox.expect(2)[1]
    assert mail["subject"] == "An order"
    assert mail["from"].addresses[0].display_name == "Shop"
    assert mail["message-id"] == f"<{sent['MessageId']}@shop.example>"
    assert mail.get_content().splitlines()[:2] == ["Größe ✓", "line 2"]


def test_without_a_subject_and_a_display_name(subscribed):
    sns, mailbox, topic = subscribed("email")
    sns.publish(TopicArn=topic, Message="one")
    mail = mailbox.expect(2)[1]
    assert mail["subject"] == "AWS Notification Message"
    assert mail["from"].addresses[0].display_name == "AWS Notifications"


def test_email_json_is_the_envelope(subscribed):
    sns, mailbox, topic = subscribed("email-json")
    sent = sns.publish(TopicArn=topic, Message="one", Subject="An order")
    envelope = json.loads(mailbox.expect(2)[1].get_content())
    assert (envelope["Type"], envelope["MessageId"], envelope["Message"]) == ("Notification", sent["MessageId"], "one")


def test_one_click_ends_the_subscription(subscribed, visit):
    sns, mailbox, topic = subscribed("email")
    sns.publish(TopicArn=topic, Message="one")
    mail = mailbox.expect(2)[1]
    assert mail["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    link = mail["list-unsubscribe"].strip("<>").replace("\n", "").replace(" ", "")
    visit(link, data=b"List-Unsubscribe=One-Click")
    told = mailbox.expect(3)[2]
    assert told["subject"] == "AWS Notification - Unsubscribe Confirmation"
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []


def test_a_passing_refusal_is_tried_again(subscribed, mailed, until_mailed):
    sns, mailbox, topic = subscribed("email")
    mailbox.replies = ["451 try later", "452 no room"]
    sns.publish(TopicArn=topic, Message="one")
    mail = until_mailed(mailed[0], mailbox, 2)[1]
    assert mail.get_content().splitlines()[0] == "one"


def test_an_address_that_is_refused_for_good_is_not_tried_again(subscribed, mailed, visit, link_in):
    sns, mailbox, topic = subscribed("email")
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="bob@example.com")
    visit(link_in(mailbox.expect(2)[1].get_body(("plain",)).get_content()))
    mailbox.refused["bob@example.com"] = "550 no such user"
    sns.publish(TopicArn=topic, Message="one")
    mailbox.expect(3)
    mailbox.expect_refusals(1)
    mailbox.refused.clear()
    for _ in range(5):
        mailed[0].advance(600)
    sns.publish(TopicArn=topic, Message="two")
    mailbox.expect(5)
    assert sorted(mail.get_content()[:3] for mail in mailbox.mails[2:]) == ["one", "two", "two"]


def test_connections_are_kept(subscribed):
    sns, mailbox, topic = subscribed("email")
    for n in range(10):
        sns.publish(TopicArn=topic, Message=str(n))
    mailbox.expect(11)
    assert len(mailbox.peers) <= 5


@pytest.mark.parametrize("starttls", ["required", "auto"])
def test_starttls_and_a_login(starttls, mail_server, serve_with, server_tls, ca_file):
    mailbox, port = mail_server(tls_context=server_tls, require_starttls=True, asks_login=True)
    url = f"smtp://ada%40shop:s3cret@localhost:{port}?starttls={starttls}"
    server = serve_with(smtp_url=url, outgoing_ca=ca_file)
    sns = server.client("sns")
    topic = sns.create_topic(Name="orders")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=ADDRESS)
    mailbox.expect(1)
    assert (mailbox.logins, mailbox.tls) == ([("ada@shop", "s3cret")], [True])


def test_tls_from_the_beginning(mail_server, serve_with, server_tls, ca_file):
    mailbox, port = mail_server(ssl_context=server_tls)
    server = serve_with(smtp_url=f"smtps://localhost:{port}", outgoing_ca=ca_file)
    sns = server.client("sns")
    topic = sns.create_topic(Name="orders")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=ADDRESS)
    mailbox.expect(1)


def test_links_go_to_the_public_url(mail_server, serve_with, link_in):
    mailbox, port = mail_server()
    server = serve_with(smtp_url=f"smtp://127.0.0.1:{port}", public_url="https://headrace.example/")
    sns = server.client("sns")
    topic = sns.create_topic(Name="orders")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=ADDRESS)
    text = mailbox.expect(1)[0].get_body(("plain",)).get_content()
    assert link_in(text).startswith("https://headrace.example/?Action=ConfirmSubscription&")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--smtp-url=http://mail", "smtp://user:password@host:port"),
        ("--smtp-url=smtp://mail?starttls=maybe", "starttls must be one of"),
        ("--smtp-from=nobody", "smtp_from must be an e-mail address"),
        ("--sms-url=ftp://gateway", "sms_url must begin with smpp://"),
        ("--sms-url=smpp://a-name-that-is-too-long:pw@host", "SMPP takes a system id of 15 characters"),
        ("--sms-number=12", "sms_number must be a number"),
        ("--sms-body={}", "--sms-body is for"),
        ("--push=PIGEON=http://x", "neither providers nor PLATFORM=URL"),
        ("--public-url=headrace", "public_url must be a URL"),
        ("--outgoing-ca=nowhere.pem", "there is no file nowhere.pem"),
        ("--signing-key=nowhere.pem", "there is no file nowhere.pem"),
    ],
)
def test_wrong_options_end_the_start_with_one_line(option, said):
    command = [sys.executable, "-m", "headrace", "serve", "--data", ":memory:", "--port", "0", option]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
