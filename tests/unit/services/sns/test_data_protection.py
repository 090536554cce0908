from __future__ import annotations

import json
from typing import Any

import pytest
import structlog

from headrace.context import Principal
from headrace.errors import ServiceError
from headrace.services.sns import data_protection, limits
from headrace.services.sns.records import MessageAttribute, Publication

ARN = "arn:aws:dataprotection::aws:data-identifier/"
ANYONE = Principal("111111111111", "AKID", "AIDA", "arn:aws:iam::111111111111:root")
LOGS = {"CloudWatchLogs": {"LogGroup": "/aws/vendedlogs/audit"}}


def statement(operation: Any, *names: str, direction: str = "Inbound", principal: Any = ("*",)) -> dict[str, Any]:
    return {
        "Sid": "s",
        "DataDirection": direction,
        "Principal": list(principal),
        "DataIdentifier": [ARN + name for name in names or ("EmailAddress",)],
        "Operation": operation,
    }


def policy(*statements: Any, **more: Any) -> str:
    return json.dumps({"Name": "p", "Version": "2021-06-01", "Statement": list(statements), **more})


def publication(message: str, **bodies: str) -> Publication:
    return Publication(
        message_id="8b1b5f0e-0000-4000-8000-000000000000",
        topic_arn="arn:aws:sns:us-east-1:000000000000:t",
        region="us-east-1",
        account="000000000000",
        message=message,
        published_at_ms=0,
        subject="joe@example.com",
        bodies=bodies,
        attributes={"mail": MessageAttribute("String", "joe@example.com")},
    )


def test_what_is_denied_is_not_let_in():
    protection = data_protection.compile_policy(policy(statement({"Deny": {}}, "EmailAddress", "IpAddress")))
    with pytest.raises(ServiceError) as caught:
        data_protection.inbound(protection, publication("from 10.0.0.1"), ANYONE)
    assert (caught.value.code, caught.value.status) == ("AuthorizationError", 403)
    clean = publication("nothing")
    assert data_protection.inbound(protection, clean, ANYONE) is clean


def test_masking_and_redacting():
    mask = statement({"Deidentify": {"MaskConfig": {"MaskWithCharacter": "*"}}})
    redact = statement({"Deidentify": {"RedactConfig": {}}}, "IpAddress")
    protection = data_protection.compile_policy(policy(mask, redact))
    changed = data_protection.inbound(protection, publication("joe@a.example at 10.0.0.1!"), ANYONE)
    assert changed.message == "************* at !"
    assert changed.subject == "joe@example.com"
    assert changed.attributes["mail"].text == "joe@example.com"


def test_a_mask_is_a_hash_unless_it_is_another():
    protection = data_protection.compile_policy(policy(statement({"Deidentify": {"MaskConfig": {}}})))
    assert data_protection.inbound(protection, publication("a@b.example"), ANYONE).message == "###########"


def test_texts_for_protocols_are_looked_at_each():
    masking = data_protection.compile_policy(policy(statement({"Deidentify": {"MaskConfig": {}}})))
    changed = data_protection.inbound(masking, publication("{}", default="x", sqs="to a@b.example"), ANYONE)
    assert changed.bodies == {"default": "x", "sqs": "to ###########"}
    denying = data_protection.compile_policy(policy(statement({"Deny": {}})))
    with pytest.raises(ServiceError):
        data_protection.inbound(denying, publication("{}", default="x", sqs="to a@b.example"), ANYONE)


@pytest.mark.parametrize(
    ("principal", "applies"),
    [
        ("*", True),
        (ANYONE.arn, True),
        (ANYONE.account, True),
        ("arn:aws:iam::222222222222:root", False),
        ("222222222222", False),
    ],
)
def test_principals(principal, applies):
    protection = data_protection.compile_policy(policy(statement({"Deny": {}}, principal=[principal])))
    message = publication("joe@example.com")
    if applies:
        with pytest.raises(ServiceError):
            data_protection.inbound(protection, message, ANYONE)
    else:
        assert data_protection.inbound(protection, message, ANYONE) is message


def test_on_the_way_out():
    deny = statement({"Deny": {}}, "IpAddress", direction="Outbound")
    mask = statement({"Deidentify": {"MaskConfig": {}}}, direction="Outbound", principal=[ANYONE.arn])
    protection = data_protection.compile_policy(policy(deny, mask))
    message = publication("a@b.example")
    assert data_protection.inbound(protection, message, ANYONE) is message
    masked = data_protection.outbound(protection, message, ANYONE.arn)
    assert masked is not None
    assert masked.message == "###########"
    assert data_protection.outbound(protection, message, "arn:aws:iam::222222222222:root") is message
    assert data_protection.outbound(protection, publication("10.0.0.1"), ANYONE.arn) is None


@pytest.fixture(autouse=True)
def _plain_log():
    """Log everything, whatever a server in this process was told to."""
    configured = structlog.get_config()
    structlog.reset_defaults()
    yield
    structlog.configure(**configured)


def audit(rate: object, **more: Any) -> dict[str, Any]:
    return statement({"Audit": {"SampleRate": rate, "FindingsDestination": LOGS, **more}})


def test_an_audit_reports_what_it_finds_and_not_the_data():
    protection = data_protection.compile_policy(policy(audit("99")))
    with structlog.testing.capture_logs() as logged:
        message = publication("to a@b.example, c@d.example")
        assert data_protection.inbound(protection, message, ANYONE) is message
    (line,) = logged
    assert line["event"] == "data protection audit"
    assert line["principal"] == ANYONE.arn
    assert line["destinations"] == {"CloudWatchLogs": "/aws/vendedlogs/audit"}
    spans = [{"start": 3, "end": 14}, {"start": 16, "end": 27}]
    assert line["findings"] == [{"name": "EmailAddress", "count": 2, "detections": spans}]
    assert "example" not in str(line)


def test_an_audit_reports_that_there_was_nothing_where_that_is_wanted():
    wanted = data_protection.compile_policy(policy(audit(99, NoFindingsDestination={"S3": {"Bucket": "b"}})))
    unwanted = data_protection.compile_policy(policy(audit(99)))
    with structlog.testing.capture_logs() as logged:
        data_protection.inbound(wanted, publication("nothing"), ANYONE)
        data_protection.inbound(unwanted, publication("nothing"), ANYONE)
    assert [line["destinations"] for line in logged] == [{"S3": "b"}]


def test_an_audit_takes_samples():
    protection = data_protection.compile_policy(policy(audit(0)))
    with structlog.testing.capture_logs() as logged:
        data_protection.inbound(protection, publication("a@b.example"), ANYONE)
    assert not logged


def test_what_is_denied_is_audited_too():
    protection = data_protection.compile_policy(policy(statement({"Deny": {}}), audit(99)))
    with structlog.testing.capture_logs() as logged, pytest.raises(ServiceError):
        data_protection.inbound(protection, publication("a@b.example"), ANYONE)
    assert len(logged) == 1


BAD = [
    ("{", "failed to parse JSON."),
    ("[]", "it must be a JSON object"),
    (policy(statement({"Deny": {}}), Extra=1), "Unknown member Extra"),
    (policy(statement({"Deny": {}}), Name=""), "Name is required"),
    (policy(statement({"Deny": {}}), Version="2012-10-17"), "Version must be 2021-06-01"),
    (policy(statement({"Deny": {}}), Configuration={"CustomDataIdentifier": []}), "Configuration: custom data"),
    (policy(), "Statement must be a list"),
    (policy(1), "a statement must be a JSON object"),
    (policy(statement({"Deny": {}}, direction="Sideways")), "DataDirection must be"),
    (policy(statement({})), "Operation must be one of"),
    (policy(statement({"Deny": {}, "Audit": {}})), "Operation must be one of"),
    (policy(statement({"Drop": {}})), "Operation must be one of"),
    (policy(statement({"Deny": {"a": 1}})), "Deny takes no options"),
    (policy(statement({"Deny": {}}, principal=[])), "Principal must be a list"),
    (policy(statement({"Deny": {}}, "Name")), f"DataIdentifier {ARN}Name is not served by Headrace"),
    (policy(statement({"Deidentify": {}})), "Deidentify takes either"),
    (policy(statement({"Deidentify": {"MaskConfig": {}, "RedactConfig": {}}})), "Deidentify takes either"),
    (policy(statement({"Deidentify": {"MaskConfig": {"MaskWithCharacter": "ab"}}})), "MaskWithCharacter must be"),
    (policy(audit(100)), "SampleRate must be"),
    (policy(audit("x")), "SampleRate must be"),
    (policy(audit(9.5)), "SampleRate must be"),
    (policy(audit(True)), "SampleRate must be"),
    (policy(audit([])), "SampleRate must be"),
    (policy(statement({"Audit": {"SampleRate": 1}})), "Audit takes a FindingsDestination"),
    (policy(audit(1, FindingsDestination=[])), "a destination must be a JSON object"),
    (policy(audit(1, FindingsDestination={"Fax": {}})), "a destination is one of"),
    (policy(audit(1, FindingsDestination={"CloudWatchLogs": {"LogGroup": "x"}})), "the name of a LogGroup must start"),
    (policy({**audit(1), "DataDirection": "Outbound"}), "Audit is for inbound messages only"),
    (json.dumps("x" * limits.DATA_PROTECTION_CHARS), "it must be at most 30720 characters long"),
]


@pytest.mark.parametrize(("text", "problem"), BAD)
def test_policies_that_are_not_in_order(text, problem):
    with pytest.raises(ServiceError) as caught:
        data_protection.compile_policy(text)
    assert caught.value.code == "InvalidParameter"
    assert caught.value.message.startswith(f"Invalid parameter: DataProtectionPolicy Reason: {problem}")
