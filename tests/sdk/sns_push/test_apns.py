"""Apple's service, over real HTTP/2."""

import base64
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

TOKEN = "AB" * 32


@pytest.fixture
def server(apple, ca_file, serve_with):
    return serve_with(push=f"APNS={apple.url},APNS_SANDBOX={apple.url},APNS_VOIP={apple.url}", outgoing_ca=ca_file)


@pytest.fixture
def register(server, apple_key):
    """A function that makes an application with a signing key, and an endpoint of it; the endpoint's ARN."""

    def register(platform="APNS"):
        sns = server.client("sns")
        application = sns.create_platform_application(
            Name="shop",
            Platform=platform,
            Attributes={
                "PlatformPrincipal": "KEY1234567",
                "PlatformCredential": apple_key[1],
                "ApplePlatformTeamID": "TEAM123456",
                "ApplePlatformBundleID": "example.shop",
            },
        )["PlatformApplicationArn"]
        return sns, sns.create_platform_endpoint(PlatformApplicationArn=application, Token=TOKEN)["EndpointArn"]

    return register


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def text(value):
    return {"DataType": "String", "StringValue": value}


def test_a_plain_message(register, apple, apple_key, server):
    sns, endpoint = register()
    sns.publish(TargetArn=endpoint, Message="hello")
    call = apple.expect(1)[0]
    assert call.path == f"/3/device/{TOKEN.lower()}"
    assert call.json == {"aps": {"alert": "hello"}}
    assert (call.headers["apns-topic"], call.headers["apns-push-type"]) == ("example.shop", "alert")
    assert call.headers["apns-priority"] == "10"
    head, claims, signature = call.headers["authorization"].removeprefix("bearer ").split(".")
    assert json.loads(decoded(head)) == {"alg": "ES256", "typ": "JWT", "kid": "KEY1234567"}
    assert json.loads(decoded(claims))["iss"] == "TEAM123456"
    numbers = [int.from_bytes(decoded(signature)[at : at + 32], "big") for at in (0, 32)]
    signed = f"{head}.{claims}".encode()
    apple_key[0].public_key().verify(encode_dss_signature(*numbers), signed, ec.ECDSA(SHA256()))


def test_a_message_of_its_own_with_attributes(register, apple, server):
    sns, endpoint = register("APNS_SANDBOX")
    payload = {"aps": {"content-available": 1}, "order": 7}
    sns.publish(
        TargetArn=endpoint,
        Message=json.dumps({"default": "x", "APNS_SANDBOX": json.dumps(payload)}),
        MessageStructure="json",
        MessageAttributes={
            "AWS.SNS.MOBILE.APNS_SANDBOX.TTL": text("60"),
            "AWS.SNS.MOBILE.APNS.COLLAPSE_ID": text("orders"),
        },
    )
    call = apple.expect(1)[0]
    assert call.json == payload
    assert (call.headers["apns-push-type"], call.headers["apns-priority"]) == ("background", "5")
    assert call.headers["apns-collapse-id"] == "orders"
    assert abs(int(call.headers["apns-expiration"]) - server.health()["now_ms"] // 1000 - 60) < 60


def test_voip(register, apple):
    sns, endpoint = register("APNS_VOIP")
    sns.publish(TargetArn=endpoint, Message="ring")
    call = apple.expect(1)[0]
    assert (call.headers["apns-push-type"], call.headers["apns-topic"]) == ("voip", "example.shop.voip")


def test_one_connection_and_one_token_for_many(register, apple):
    sns, endpoint = register()
    for n in range(20):
        sns.publish(TargetArn=endpoint, Message=str(n))
    calls = apple.expect(20)
    assert {call.json["aps"]["alert"] for call in calls} == {str(n) for n in range(20)}
    assert apple.connections == 1
    assert len({call.headers["authorization"] for call in calls}) == 1


@pytest.mark.parametrize("refusal", [(410, {"reason": "Unregistered"}, {}), (400, {"reason": "BadDeviceToken"}, {})])
def test_a_token_that_is_rejected_disables_the_endpoint(refusal, register, apple, until):
    sns, endpoint = register()
    apple.answers = [refusal]
    sns.publish(TargetArn=endpoint, Message="one")

    def disabled():
        return sns.get_endpoint_attributes(EndpointArn=endpoint)["Attributes"]["Enabled"] == "false"

    until(disabled)
    with pytest.raises(sns.exceptions.EndpointDisabledException):
        sns.publish(TargetArn=endpoint, Message="two")
    sns.set_endpoint_attributes(EndpointArn=endpoint, Attributes={"Token": "cd" * 32, "Enabled": "true"})
    sns.publish(TargetArn=endpoint, Message="three")
    assert apple.expect(2)[1].path == f"/3/device/{'cd' * 32}"


def test_a_provider_token_that_expired_is_renewed_at_once(register, apple, server):
    sns, endpoint = register()
    sns.publish(TargetArn=endpoint, Message="one")
    first = apple.expect(1)[0]
    server.advance(1)
    apple.answers = [(403, {"reason": "ExpiredProviderToken"}, {})]
    sns.publish(TargetArn=endpoint, Message="two")
    _, refused, again = apple.expect(3)
    assert refused.headers["authorization"] == first.headers["authorization"]
    assert again.headers["authorization"] != first.headers["authorization"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_tried_again(status, register, apple, server, until_called):
    sns, endpoint = register()
    apple.answers = [(status, {"reason": "Busy"}, {})]
    sns.publish(TargetArn=endpoint, Message="one")
    assert [call.json for call in until_called(server, apple, 2)] == [{"aps": {"alert": "one"}}] * 2


def test_a_certificate(apple, authority, serve_with, ca_file):
    issued = authority.issue_cert("push.example")
    certificate = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    server = serve_with(push=f"APNS={apple.url}", outgoing_ca=ca_file)
    sns = server.client("sns")
    attributes = {
        "PlatformPrincipal": issued.cert_chain_pems[0].bytes().decode(),
        "PlatformCredential": issued.private_key_pem.bytes().decode(),
    }
    with pytest.raises(sns.exceptions.InvalidParameterException, match="names no bundle"):
        sns.create_platform_application(Name="shop", Platform="APNS", Attributes=attributes)
    # trustme makes no certificate that names a bundle: the publisher names it here.
    other = serve_with(push=f"APNS_SANDBOX={apple.url}", outgoing_ca=ca_file).client("sns")
    application = other.create_platform_application(Name="shop", Platform="APNS", Attributes=attributes)
    shown = other.get_platform_application_attributes(**application_of(application))["Attributes"]
    assert shown["AuthenticationMethod"] == "certificate"
    assert shown["AppleCertificateExpiryDate"] == certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert "PlatformCredential" not in shown
    assert "PlatformPrincipal" not in shown


def application_of(answer):
    return {"PlatformApplicationArn": answer["PlatformApplicationArn"]}


def test_a_certificate_that_names_its_bundle(apple, authority, serve_with, ca_file):
    certificate, key = certificate_for("example.shop", authority)
    server = serve_with(push=f"APNS={apple.url}", outgoing_ca=ca_file)
    sns = server.client("sns")
    application = sns.create_platform_application(
        Name="shop", Platform="APNS", Attributes={"PlatformPrincipal": certificate, "PlatformCredential": key}
    )["PlatformApplicationArn"]
    endpoint = sns.create_platform_endpoint(PlatformApplicationArn=application, Token=TOKEN)["EndpointArn"]
    sns.publish(TargetArn=endpoint, Message="hello")
    call = apple.expect(1)[0]
    assert call.headers["apns-topic"] == "example.shop"
    assert "authorization" not in call.headers
    subject = dict(pair for part in apple.certificates[0]["subject"] for pair in part)
    assert subject["userId"] == "example.shop"


def certificate_for(bundle, authority):
    """A certificate of the authority's with the bundle in its subject, and its key."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.USER_ID, bundle)]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
        .sign(load_pem_private_key(authority.private_key_pem.bytes(), None), SHA256())
    )
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), plain.decode()
