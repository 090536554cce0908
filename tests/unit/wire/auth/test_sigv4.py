import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import limits
from headrace.errors import ServiceError
from headrace.wire.auth.sigv4 import ANONYMOUS, authenticate, read_authorization, read_credential

SIGNED = "AWS4-HMAC-SHA256 Credential={}, SignedHeaders=host;x-amz-date, Signature=00ff"


def test_the_header_of_a_signed_request():
    caller = read_authorization(SIGNED.format("AKIDEXAMPLE/20250101/eu-west-1/sqs/aws4_request"))
    assert (caller.region, caller.service) == ("eu-west-1", "sqs")
    assert caller.principal.access_key_id == "AKIDEXAMPLE"
    assert caller.principal.account == "000000000000"


def test_a_twelve_digit_key_is_an_account():
    caller = read_credential("123456789012/20250101/us-east-1/sqs/aws4_request")
    assert caller.principal.account == "123456789012"
    assert caller.principal.arn == "arn:aws:iam::123456789012:root"


def test_a_key_may_hold_slashes():
    assert read_credential("a/b/20250101/us-east-1/sqs/aws4_request").principal.access_key_id == "a/b"


def test_a_scope_without_region():
    header = "AWS4-ECDSA-P256-SHA256 Credential=KEY/20250101/sqs/aws4_request, SignedHeaders=host, Signature=00"
    caller = read_authorization(header)
    assert (caller.principal.access_key_id, caller.region, caller.service) == ("KEY", "", "sqs")


def test_signature_version_2():
    caller = read_authorization("AWS 123456789012:frJIUN8DYpKDtOLCwo==")
    assert (caller.principal.account, caller.region) == ("123456789012", "")


@pytest.mark.parametrize("header", ["", "Basic dXNlcjpwYXNz", "Bearer x", "AWS4-HMAC-SHA256"])
def test_other_schemes_are_anonymous(header):
    assert read_authorization(header) is ANONYMOUS


def test_a_presigned_request(request_of):
    query = "Action=ListQueues&X-Amz-Credential=KEY%2F20250101%2Feu-north-1%2Fsqs%2Faws4_request"
    caller = authenticate(request_of(query_string=query, method="GET"))
    assert (caller.principal.access_key_id, caller.region) == ("KEY", "eu-north-1")
    assert authenticate(request_of(b"AWSAccessKeyId=OLD")).principal.access_key_id == "OLD"


def test_a_request_that_is_not_signed_is_anonymous(request_of):
    assert authenticate(request_of(b"Action=ListQueues")) is ANONYMOUS


def test_the_header_goes_before_the_fields(request_of):
    header = SIGNED.format("KEY/20250101/eu-west-1/sqs/aws4_request")
    request = request_of(query_string="X-Amz-Credential=OTHER&broken=%", headers={"Authorization": header})
    assert authenticate(request).principal.access_key_id == "KEY"


def test_fields_that_cannot_be_read_are_refused(request_of):
    with pytest.raises(ServiceError):
        authenticate(request_of(query_string="%"))


@given(st.text())
def test_any_header_is_read(header):
    assert read_authorization(header).principal.account.isdigit()
    assert read_authorization(f"AWS4-HMAC-SHA256 Credential={header}").principal.arn


def test_what_is_kept_of_credentials_is_limited():
    assert read_credential.cache_parameters()["maxsize"] == limits.MAX_CREDENTIAL_SCOPES
    assert read_credential("A/d/r/s/t") is read_credential("A/d/r/s/t")
