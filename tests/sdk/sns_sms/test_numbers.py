"""SMS settings, numbers that opted out, the sandbox, and what lands in the outbox."""

import re

import pytest
from botocore.exceptions import ClientError

NUMBER = "+15550100"


@pytest.fixture
def refused():
    """A function whose call must be refused with this code (and text)."""

    def refused(code, call, said="", **params):
        with pytest.raises(ClientError) as caught:
            call(**params)
        error = caught.value.response["Error"]
        assert error["Code"] == code
        assert said in error["Message"]
        return caught.value.response["ResponseMetadata"]["HTTPStatusCode"]

    return refused


def test_attributes(sns, headrace, refused):
    assert sns.get_sms_attributes()["attributes"] == {}
    sns.set_sms_attributes(attributes={"DefaultSMSType": "Transactional", "MonthlySpendLimit": "5"})
    sns.set_sms_attributes(attributes={"DefaultSenderID": "Shop"})
    assert sns.get_sms_attributes(attributes=["DefaultSenderID", "DefaultSMSType"])["attributes"] == {
        "DefaultSMSType": "Transactional",
        "DefaultSenderID": "Shop",
    }
    other = headrace.client("sns", region_name="eu-west-1")
    assert other.get_sms_attributes()["attributes"] == {}
    sns.set_sms_attributes(attributes={"DefaultSenderID": ""})
    assert "DefaultSenderID" not in sns.get_sms_attributes()["attributes"]
    for name, value in {
        "DefaultSMSType": "Loud",
        "DefaultSenderID": "much too long for one",
        "MonthlySpendLimit": "-1",
        "DeliveryStatusSuccessSamplingRate": "101",
        "DeliveryStatusIAMRole": "root",
        "Colour": "blue",
    }.items():
        assert refused("InvalidParameter", sns.set_sms_attributes, name, attributes={name: value}) == 400


def test_a_message_in_the_outbox(sns, outbox):
    sns.set_sms_attributes(attributes={"DefaultSenderID": "Shop", "DefaultSMSType": "Transactional"})
    sent = sns.publish(PhoneNumber=NUMBER, Message="hello")
    [found] = outbox(1, protocol="sms")
    assert (found["to"], found["from"], found["message"]) == (NUMBER, "Shop", "hello")
    assert (found["sms_type"], found["message_id"]) == ("Transactional", sent["MessageId"])


def test_a_topic_puts_its_name_before(sns, outbox):
    topic = sns.create_topic(Name="orders", Attributes={"DisplayName": "Shop"})["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint=NUMBER)
    sns.publish(TopicArn=topic, Message="hello", Subject="not shown")
    [found] = outbox(1, topic_arn=topic)
    assert found["message"] == "Shop> hello"


def test_the_outbox_is_filtered(sns, headrace, outbox):
    for n in range(5):
        sns.publish(PhoneNumber=f"+1555010{n}", Message=f"number {n}")
        outbox(n + 1)
    assert [each["message"] for each in outbox(1, to="+15550103")] == ["number 3"]
    assert [each["message"] for each in outbox(1, contains="ber 4")] == ["number 4"]
    first = headrace.call("GET", "outbox?limit=2")
    assert [each["message"] for each in first["messages"]] == ["number 0", "number 1"]
    rest = headrace.call("GET", f"outbox?after={first['next']}")
    assert [each["message"] for each in rest["messages"]] == ["number 2", "number 3", "number 4"]
    assert headrace.call("GET", "outbox?protocol=email")["messages"] == []
    for query, said in {
        "colour=blue": "There is no filter colour",
        "limit=few": "limit must be a whole number",
    }.items():
        with pytest.raises(RuntimeError, match=said):
            headrace.call("GET", f"outbox?{query}")
    headrace.reset()
    assert headrace.call("GET", "outbox") == {"messages": [], "next": 0}


def test_opting_out_and_in(sns, headrace, outbox, refused):
    headrace.call("POST", "sms", {"from": NUMBER, "text": "please STOP"})
    assert sns.check_if_phone_number_is_opted_out(phoneNumber=NUMBER)["isOptedOut"] is False
    headrace.call("POST", "sms", {"from": NUMBER, "text": "stop"})
    assert sns.check_if_phone_number_is_opted_out(phoneNumber=NUMBER)["isOptedOut"] is True
    assert sns.list_phone_numbers_opted_out()["phoneNumbers"] == [NUMBER]
    sns.publish(PhoneNumber=NUMBER, Message="one")
    sns.publish(PhoneNumber="+15550101", Message="two")
    assert [each["message"] for each in outbox(1)] == ["two"]
    sns.opt_in_phone_number(phoneNumber=NUMBER)
    assert sns.list_phone_numbers_opted_out()["phoneNumbers"] == []
    sns.publish(PhoneNumber=NUMBER, Message="three")
    outbox(2)
    headrace.call("POST", "sms", {"from": NUMBER, "text": "STOP"})
    refused("InvalidParameter", sns.opt_in_phone_number, "30 days", phoneNumber=NUMBER)
    headrace.advance(30 * 86_400)
    sns.opt_in_phone_number(phoneNumber=NUMBER)
    refused("InvalidParameter", sns.check_if_phone_number_is_opted_out, "E164", phoneNumber="5550100")


def test_opted_out_numbers_by_the_page(sns, headrace):
    numbers = [f"+1555{n:04}" for n in range(1000, 1105)]
    for number in numbers:
        headrace.call("POST", "sms", {"from": number, "text": "STOP"})
    first = sns.list_phone_numbers_opted_out()
    assert first["phoneNumbers"] == numbers[:100]
    rest = sns.list_phone_numbers_opted_out(nextToken=first["nextToken"])
    assert (rest["phoneNumbers"], rest.get("nextToken")) == (numbers[100:], None)


def test_a_spend_limit(sns, outbox):
    sns.set_sms_attributes(attributes={"MonthlySpendLimit": "1"})
    text = "x" * 1600  # 11 parts: 14 messages cost 99 cents
    for n in range(14):
        sns.publish(PhoneNumber=NUMBER, Message=text)
        outbox(n + 1)
    sns.publish(PhoneNumber=NUMBER, Message=text)
    sns.publish(PhoneNumber="+15550101", Message="x")
    outbox(1, to="+15550101")
    sns.publish(PhoneNumber="+15550102", Message="x")
    sns.set_sms_attributes(attributes={"MonthlySpendLimit": "2"})
    sns.publish(PhoneNumber=NUMBER, Message="more")
    outbox(1, contains="more")
    outbox(14, contains="x" * 1600)


def test_a_price_that_is_too_high(sns, outbox):
    for text, price in {"dear": "0.00001", "cheap": "0.01"}.items():
        attribute = {"AWS.SNS.SMS.MaxPrice": {"DataType": "Number", "StringValue": price}}
        sns.publish(PhoneNumber=NUMBER, Message=text, MessageAttributes=attribute)
    assert [each["message"] for each in outbox(1)] == ["cheap"]


def test_outside_the_sandbox_nothing_has_to_be_verified(sns):
    assert sns.get_sms_sandbox_account_status()["IsInSandbox"] is False
    assert sns.list_origination_numbers()["PhoneNumbers"] == []


@pytest.fixture
def sandbox(serve_with):
    return serve_with(sms_sandbox=True, sms_number="+15550000")


def code_in(message):
    return re.search(r"\d{6}", message["message"])[0]


def test_numbers_of_the_sandbox(sandbox, outbox, refused):
    sns = sandbox.client("sns")
    assert sns.get_sms_sandbox_account_status()["IsInSandbox"] is True
    [own] = sns.list_origination_numbers()["PhoneNumbers"]
    assert (own["PhoneNumber"], own["NumberCapabilities"]) == ("+15550000", ["SMS"])
    sns.create_sms_sandbox_phone_number(PhoneNumber=NUMBER, LanguageCode="de-DE")
    [sent] = outbox(1, server=sandbox)
    assert sent["message"].startswith("Ihr Bestätigungscode")
    code = code_in(sent)
    assert sns.list_sms_sandbox_phone_numbers()["PhoneNumbers"] == [{"PhoneNumber": NUMBER, "Status": "Pending"}]
    wrong = "000000" if code != "000000" else "111111"
    verify = sns.verify_sms_sandbox_phone_number
    assert refused("VerificationException", verify, PhoneNumber=NUMBER, OneTimePassword=wrong) == 400
    sns.publish(PhoneNumber="+15550101", Message="nobody knows this number")
    verify(PhoneNumber=NUMBER, OneTimePassword=code)
    assert sns.list_sms_sandbox_phone_numbers()["PhoneNumbers"] == [{"PhoneNumber": NUMBER, "Status": "Verified"}]
    refused("UserError", sns.create_sms_sandbox_phone_number, "verified already", PhoneNumber=NUMBER)
    sns.publish(PhoneNumber=NUMBER, Message="in time")
    assert outbox(2, server=sandbox)[1]["message"] == "in time"
    sns.delete_sms_sandbox_phone_number(PhoneNumber=NUMBER)
    assert refused("ResourceNotFound", sns.delete_sms_sandbox_phone_number, PhoneNumber=NUMBER) == 404
    assert refused("ResourceNotFound", verify, PhoneNumber=NUMBER, OneTimePassword=code) == 404


def test_codes_run_out(sandbox, outbox, refused):
    sns = sandbox.client("sns")
    verify = sns.verify_sms_sandbox_phone_number
    sns.create_sms_sandbox_phone_number(PhoneNumber=NUMBER)
    code = code_in(outbox(1, server=sandbox)[0])
    sandbox.advance(86_400)
    refused("VerificationException", verify, PhoneNumber=NUMBER, OneTimePassword=code)
    for n in range(5):
        sns.create_sms_sandbox_phone_number(PhoneNumber=NUMBER)
        code = code_in(outbox(n + 2, server=sandbox)[-1])
    assert refused("Throttled", sns.create_sms_sandbox_phone_number, PhoneNumber=NUMBER) == 429
    for _ in range(5):
        refused("VerificationException", verify, PhoneNumber=NUMBER, OneTimePassword="9" * 5)
    refused("VerificationException", verify, PhoneNumber=NUMBER, OneTimePassword=code)


def test_the_sandbox_takes_ten_numbers(sandbox, refused):
    sns = sandbox.client("sns")
    for n in range(10):
        sns.create_sms_sandbox_phone_number(PhoneNumber=f"+1555010{n}")
    refused("UserError", sns.create_sms_sandbox_phone_number, "10 phone numbers", PhoneNumber="+15550200")
    first = sns.list_sms_sandbox_phone_numbers(MaxResults=6)
    rest = sns.list_sms_sandbox_phone_numbers(NextToken=first["NextToken"])
    numbers = [each["PhoneNumber"] for each in first["PhoneNumbers"] + rest["PhoneNumbers"]]
    assert numbers == [f"+1555010{n}" for n in range(10)]


def test_a_number_that_opted_out_is_not_taken(sandbox, refused):
    sandbox.call("POST", "sms", {"from": NUMBER, "text": "STOP"})
    create = sandbox.client("sns").create_sms_sandbox_phone_number
    refused("OptedOut", create, PhoneNumber=NUMBER)
    refused("InvalidParameter", create, PhoneNumber="123456789")
