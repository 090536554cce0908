"""Platform applications and endpoints, their events, and what lands in the outbox."""

import json
import re
import time

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def refused():
    """A function whose call must be refused with this code and text; the whole text."""

    def refused(code, said, call, **params):
        with pytest.raises(ClientError) as caught:
            call(**params)
        error = caught.value.response["Error"]
        assert error["Code"] == code
        assert said in error["Message"]
        return error["Message"]

    return refused


@pytest.fixture
def make(sns):
    """A function that makes an application; its ARN."""

    def make(name="shop", platform="GCM", **attributes):
        given = {"PlatformCredential": "secret", **({} if platform == "GCM" else {"PlatformPrincipal": "principal"})}
        answer = sns.create_platform_application(Name=name, Platform=platform, Attributes={**given, **attributes})
        return answer["PlatformApplicationArn"]

    return make


def register(sns, application, token="t1", **params):
    return sns.create_platform_endpoint(PlatformApplicationArn=application, Token=token, **params)["EndpointArn"]


def test_applications(sns, make, refused):
    arn = make()
    assert arn == "arn:aws:sns:us-east-1:000000000000:app/GCM/shop"
    assert make() == arn
    refused("InvalidParameter", "already exists with different attributes", make, PlatformCredential="other")
    shown = sns.get_platform_application_attributes(PlatformApplicationArn=arn)["Attributes"]
    assert shown == {"Enabled": "true", "AuthenticationMethod": "key"}
    sns.set_platform_application_attributes(
        PlatformApplicationArn=arn, Attributes={"SuccessFeedbackSampleRate": "50", "PlatformCredential": "{}"}
    )
    shown = sns.get_platform_application_attributes(PlatformApplicationArn=arn)["Attributes"]
    assert (shown["SuccessFeedbackSampleRate"], shown["AuthenticationMethod"]) == ("50", "token")
    sns.delete_platform_application(PlatformApplicationArn=arn)
    sns.delete_platform_application(PlatformApplicationArn=arn)
    refused(
        "NotFound",
        "PlatformApplication does not exist",
        sns.get_platform_application_attributes,
        PlatformApplicationArn=arn,
    )


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"Name": "a b"}, "Name Reason"),
        ({"Platform": "PIGEON"}, "Platform Reason: PIGEON is not supported"),
        ({"Attributes": {"Enabled": "true"}}, "PlatformCredential: cannot be empty"),
        ({"Platform": "ADM"}, "PlatformPrincipal: cannot be empty"),
        ({"Attributes": {"PlatformCredential": "x", "Colour": "blue"}}, "Invalid attribute name: Colour"),
        ({"Attributes": {"PlatformCredential": "x", "EventEndpointCreated": "y"}}, "must be the ARN of a topic"),
        ({"Attributes": {"PlatformCredential": "x", "SuccessFeedbackSampleRate": "101"}}, "from 0 to 100"),
        (
            {
                "Platform": "APNS",
                "Attributes": {"PlatformCredential": "x", "PlatformPrincipal": "y", "ApplePlatformTeamID": "z"},
            },
            "ApplePlatformBundleID: cannot be empty",
        ),
    ],
)
def test_applications_that_are_refused(params, said, sns, refused):
    given = {"Name": "shop", "Platform": "GCM", "Attributes": {"PlatformCredential": "x"}, **params}
    refused("InvalidParameter", said, sns.create_platform_application, **given)


def test_applications_by_the_page(sns, make):
    arns = sorted(make(f"shop-{n:03}") for n in range(103))
    first = sns.list_platform_applications()
    assert [each["PlatformApplicationArn"] for each in first["PlatformApplications"]] == arns[:100]
    rest = sns.list_platform_applications(NextToken=first["NextToken"])
    assert [each["PlatformApplicationArn"] for each in rest["PlatformApplications"]] == arns[100:]
    assert "NextToken" not in rest


def test_endpoints(sns, make, refused):
    application = make()
    arn = register(sns, application, CustomUserData="ada")
    assert re.fullmatch(r"arn:aws:sns:us-east-1:000000000000:endpoint/GCM/shop/[0-9a-f-]{36}", arn)
    assert register(sns, application, CustomUserData="ada") == arn
    said = refused(
        "InvalidParameter",
        "already exists with the same Token, but different attributes.",
        sns.create_platform_endpoint,
        PlatformApplicationArn=application,
        Token="t1",
        CustomUserData="bob",
    )
    assert re.search(r"Endpoint (arn:aws:sns[^ ]+) already exists", said)[1] == arn
    assert sns.get_endpoint_attributes(EndpointArn=arn)["Attributes"] == {
        "CustomUserData": "ada",
        "Enabled": "true",
        "Token": "t1",
    }
    sns.set_endpoint_attributes(EndpointArn=arn, Attributes={"Token": "t2", "CustomUserData": "", "Enabled": "False"})
    assert sns.get_endpoint_attributes(EndpointArn=arn)["Attributes"] == {"Enabled": "false", "Token": "t2"}
    other = register(sns, application)
    assert other != arn
    refused("InvalidParameter", arn, sns.set_endpoint_attributes, EndpointArn=other, Attributes={"Token": "t2"})
    sns.delete_endpoint(EndpointArn=arn)
    sns.delete_endpoint(EndpointArn=arn)
    refused("NotFound", "Endpoint does not exist", sns.get_endpoint_attributes, EndpointArn=arn)
    refused("InvalidParameter", "EndpointArn", sns.get_endpoint_attributes, EndpointArn="arn:aws:sns:x")
    register(sns, application, "t2")


def test_endpoints_that_are_refused(sns, make, refused):
    application = make()
    apple = make(platform="APNS")
    create = sns.create_platform_endpoint
    refused("InvalidParameter", "Token", create, PlatformApplicationArn=application, Token="")
    refused("InvalidParameter", "hexadecimal", create, PlatformApplicationArn=apple, Token="not hex")
    refused(
        "InvalidParameter",
        "Invalid attribute name: Colour",
        create,
        PlatformApplicationArn=application,
        Token="t",
        Attributes={"Colour": "blue"},
    )
    refused(
        "InvalidParameter", "2048", create, PlatformApplicationArn=application, Token="t", CustomUserData="é" * 1025
    )
    refused("NotFound", "PlatformApplication", create, PlatformApplicationArn=application + "x", Token="t")


def test_endpoints_by_the_page_and_with_their_application(sns, make, refused):
    application = make()
    arns = sorted(register(sns, application, f"t{n}") for n in range(102))
    first = sns.list_endpoints_by_platform_application(PlatformApplicationArn=application)
    rest = sns.list_endpoints_by_platform_application(PlatformApplicationArn=application, NextToken=first["NextToken"])
    found = first["Endpoints"] + rest["Endpoints"]
    assert [each["EndpointArn"] for each in found] == arns
    assert {each["Attributes"]["Enabled"] for each in found} == {"true"}
    sns.delete_platform_application(PlatformApplicationArn=application)
    refused("NotFound", "Endpoint does not exist", sns.get_endpoint_attributes, EndpointArn=arns[0])


def test_messages_in_the_outbox(sns, headrace, make, until):
    endpoint = register(sns, make(platform="APNS"), "AB" * 32)
    topic = sns.create_topic(Name="orders")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="application", Endpoint=endpoint)
    payload = json.dumps({"aps": {"alert": "placed"}})
    bodies = {"default": "for others", "APNS": payload}
    sns.publish(TopicArn=topic, Message=json.dumps(bodies), MessageStructure="json")
    until(lambda: headrace.call("GET", "outbox?protocol=application")["messages"])
    [found] = headrace.call("GET", "outbox?protocol=application")["messages"]
    assert (found["to"], found["platform"], found["token"]) == (endpoint, "APNS", "ab" * 32)
    assert (found["message"], found["topic_arn"]) == (payload, topic)


def test_what_cannot_be_published_to(sns, make, refused):
    application = make()
    endpoint = register(sns, application, Attributes={"Enabled": "false"})
    refused("EndpointDisabled", "Endpoint is disabled", sns.publish, TargetArn=endpoint, Message="one")
    gone = endpoint[:-4] + "0000"
    refused("InvalidParameter", "No endpoint found", sns.publish, TargetArn=gone, Message="one")
    sns.set_endpoint_attributes(EndpointArn=endpoint, Attributes={"Enabled": "true"})
    sns.set_platform_application_attributes(PlatformApplicationArn=application, Attributes={"Enabled": "false"})
    refused("PlatformApplicationDisabled", "disabled", sns.publish, TargetArn=endpoint, Message="one")


def test_an_endpoint_that_there_is_not_cannot_subscribe(sns, make, refused):
    endpoint = register(sns, make())
    at = {"TopicArn": sns.create_topic(Name="orders")["TopicArn"], "Protocol": "application"}
    gone = endpoint[:-4] + "0000"
    refused("InvalidParameter", f"does not exist for endpoint {gone}", sns.subscribe, Endpoint=gone, **at)
    arn = sns.subscribe(Endpoint=endpoint, **at)["SubscriptionArn"]
    sns.delete_endpoint(EndpointArn=endpoint)
    # AWS: a subscription outlives its endpoint, but subscribing again does not give it.
    assert sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["Endpoint"] == endpoint
    refused("InvalidParameter", f"does not exist for endpoint {endpoint}", sns.subscribe, Endpoint=endpoint, **at)


def test_events_go_to_their_topics(sns, headrace, make):
    sqs = headrace.client("sqs")
    url = sqs.create_queue(QueueName="events")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="events")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    names = ("EventEndpointCreated", "EventEndpointUpdated", "EventEndpointDeleted", "EventDeliveryFailure")
    application = make(**dict.fromkeys(names, topic))
    endpoint = register(sns, application)
    sns.publish(TargetArn=endpoint, Message=json.dumps({"ADM": "not for this one"}), MessageStructure="json")
    failure = next_event(sqs, url, "DeliveryFailure")
    sns.set_endpoint_attributes(EndpointArn=endpoint, Attributes={"Enabled": "false"})
    sns.delete_endpoint(EndpointArn=endpoint)
    for kind in ("EndpointUpdated", "EndpointDeleted"):
        event = next_event(sqs, url, kind)
        assert (event["EndpointArn"], event["Resource"], event["Service"]) == (endpoint, application, "SNS")
    assert failure["EndpointArn"] == endpoint
    assert "no text for GCM" in failure["FailureMessage"]


def next_event(sqs, url, kind):
    """The next event of a kind; others before it are passed over."""
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            event = json.loads(message["Body"])
            if event["EventType"] == kind:
                return event
    raise AssertionError(f"no {kind} came")
