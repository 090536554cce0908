"""What outlives kill -9: settings, numbers, devices, the outbox, and messages that wait for their way out."""

import pytest

NUMBER = "+15550100"


@pytest.fixture
def start(spawn, tmp_path):
    """A function that starts a server in a process of its own, on the same data each time."""
    started = []

    def start(**settings):
        process = spawn(data=str(tmp_path / "data"), clock="virtual", **settings)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


def test_what_was_set_and_what_was_sent(start):
    server = start(sms_sandbox=True)
    sns = server.client("sns")
    sns.set_sms_attributes(attributes={"DefaultSenderID": "Shop"})
    sns.create_sms_sandbox_phone_number(PhoneNumber=NUMBER)
    [sent] = server.outbox(to=NUMBER)
    application = sns.create_platform_application(
        Name="shop", Platform="GCM", Attributes={"PlatformCredential": "secret"}
    )["PlatformApplicationArn"]
    endpoint = sns.create_platform_endpoint(PlatformApplicationArn=application, Token="t")["EndpointArn"]
    server.call("POST", "sms", {"from": "+15550101", "text": "STOP"})
    server.kill()
    server = start(sms_sandbox=True)
    sns = server.client("sns")
    assert sns.get_sms_attributes()["attributes"] == {"DefaultSenderID": "Shop"}
    assert server.outbox(to=NUMBER) == [sent]
    code = "".join(character for character in sent["message"].partition(".")[0] if character.isdecimal())
    sns.verify_sms_sandbox_phone_number(PhoneNumber=NUMBER, OneTimePassword=code)
    assert sns.get_endpoint_attributes(EndpointArn=endpoint)["Attributes"]["Token"] == "t"
    assert sns.create_platform_endpoint(PlatformApplicationArn=application, Token="t")["EndpointArn"] == endpoint
    assert sns.list_phone_numbers_opted_out()["phoneNumbers"] == ["+15550101"]


def test_a_message_that_waits_for_its_gateway(start, gateway):
    gateway.statuses = [503]
    url = f"http://{gateway.address}/?text={{text}}"
    server = start(sms_url=url)
    server.client("sns").publish(PhoneNumber=NUMBER, Message="one")
    gateway.expect(1)
    server.kill()
    server = start(sms_url=url)
    for _ in range(100):
        if gateway.wait(2, 0.2):
            break
        server.advance(5)  # less than an attempt may take: it must not be timed out while it is made
    assert [path for _, path, _, _ in gateway.calls] == ["/?text=one", "/?text=one"]
