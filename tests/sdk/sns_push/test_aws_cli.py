"""The AWS CLI: each of the actions on devices and on phone numbers touched, its output parsed."""

import json
import os
import subprocess

import pytest

NUMBER = "+15550100"


@pytest.fixture(scope="session")
def cli(python_runtime):
    return python_runtime("awscli") / "aws"


@pytest.fixture
def run_aws(cli, headrace, tmp_path):
    """A function that runs `aws sns …` and gives the finished process."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "headrace",
        "AWS_SECRET_ACCESS_KEY": "headrace",
        "AWS_DEFAULT_OUTPUT": "json",
        "AWS_MAX_ATTEMPTS": "1",
    }

    def run(*words):
        command = [cli, "--endpoint-url", headrace.endpoint_url, "sns", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def aws(run_aws):
    """A function that runs `aws sns …` and gives what it printed, parsed."""

    def run(*words):
        done = run_aws(*words)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def test_devices(aws, run_aws):
    made = aws(
        "create-platform-application", "--name", "shop", "--platform", "GCM", "--attributes", "PlatformCredential=key"
    )  # fmt: skip
    application = made["PlatformApplicationArn"]
    of_application = ("--platform-application-arn", application)
    aws("set-platform-application-attributes", *of_application, "--attributes", "SuccessFeedbackSampleRate=5")
    shown = aws("get-platform-application-attributes", *of_application)["Attributes"]
    assert shown["SuccessFeedbackSampleRate"] == "5"
    [listed] = aws("list-platform-applications")["PlatformApplications"]
    assert listed == {"PlatformApplicationArn": application, "Attributes": shown}
    endpoint = aws("create-platform-endpoint", *of_application, "--token", "t", "--custom-user-data", "a <b> & c")
    of_endpoint = ("--endpoint-arn", endpoint["EndpointArn"])
    attributes = {"CustomUserData": "a <b> & c", "Enabled": "true", "Token": "t"}
    assert aws("get-endpoint-attributes", *of_endpoint)["Attributes"] == attributes
    [listed] = aws("list-endpoints-by-platform-application", *of_application)["Endpoints"]
    assert listed == {"EndpointArn": endpoint["EndpointArn"], "Attributes": attributes}
    aws("set-endpoint-attributes", *of_endpoint, "--attributes", "Enabled=false")
    assert aws("get-endpoint-attributes", *of_endpoint)["Attributes"]["Enabled"] == "false"
    done = run_aws("publish", "--target-arn", endpoint["EndpointArn"], "--message", "hello")
    assert "(EndpointDisabled)" in done.stderr
    aws("delete-endpoint", *of_endpoint)
    done = run_aws("get-endpoint-attributes", *of_endpoint)
    assert "(NotFound)" in done.stderr
    aws("delete-platform-application", *of_application)
    assert aws("list-platform-applications")["PlatformApplications"] == []


def test_phone_numbers(aws, run_aws, headrace):
    aws("set-sms-attributes", "--attributes", "DefaultSMSType=Transactional,DefaultSenderID=Shop")
    assert aws("get-sms-attributes", "--attributes", "DefaultSenderID")["attributes"] == {"DefaultSenderID": "Shop"}
    aws("publish", "--phone-number", NUMBER, "--message", "hello")
    [sent] = headrace.outbox(to=NUMBER)
    assert (sent["from"], sent["message"]) == ("Shop", "hello")
    headrace.call("POST", "sms", {"from": NUMBER, "text": "STOP"})
    assert aws("check-if-phone-number-is-opted-out", "--phone-number", NUMBER) == {"isOptedOut": True}
    assert aws("list-phone-numbers-opted-out")["phoneNumbers"] == [NUMBER]
    aws("opt-in-phone-number", "--phone-number", NUMBER)
    assert aws("check-if-phone-number-is-opted-out", "--phone-number", NUMBER) == {"isOptedOut": False}
    assert aws("get-sms-sandbox-account-status") == {"IsInSandbox": False}
    assert aws("list-origination-numbers")["PhoneNumbers"] == []
    number = ("--phone-number", "+15550101")
    aws("create-sms-sandbox-phone-number", *number, "--language-code", "en-GB")
    [sent] = headrace.outbox(to="+15550101")
    code = sent["message"].partition(".")[0][-6:]
    aws("verify-sms-sandbox-phone-number", *number, "--one-time-password", code)
    listed = aws("list-sms-sandbox-phone-numbers")["PhoneNumbers"]
    assert listed == [{"PhoneNumber": "+15550101", "Status": "Verified"}]
    aws("delete-sms-sandbox-phone-number", *number)
    done = run_aws("delete-sms-sandbox-phone-number", *number)
    assert "(ResourceNotFound)" in done.stderr
