"""Firebase, Amazon's, Baidu's and Microsoft's services, over their protocols."""

import base64
import hashlib
import json
from urllib.parse import quote_plus

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256


@pytest.fixture
def register(service, serve_with):
    """A function that makes an application of a platform, and an endpoint of it: server, client, endpoint's ARN."""

    def register(platform, token, attributes, **endpoint):
        server = serve_with(push=f"{platform}={service.url}")
        sns = server.client("sns")
        application = sns.create_platform_application(Name="shop", Platform=platform, Attributes=attributes)
        arn = application["PlatformApplicationArn"]
        made = sns.create_platform_endpoint(PlatformApplicationArn=arn, Token=token, **endpoint)
        return server, sns, made["EndpointArn"]

    return register


@pytest.fixture
def firebase(register, service, google_key):
    account = {
        "type": "service_account",
        "project_id": "shop-1",
        "private_key_id": "k1",
        "private_key": google_key[1],
        "client_email": "shop@shop-1.example",
        "token_uri": f"{service.url}/token",
    }
    return register("GCM", "registration", {"PlatformCredential": json.dumps(account)})


@pytest.fixture
def amazon(register):
    return register("ADM", "amzn1.adm/1", {"PlatformPrincipal": "client", "PlatformCredential": "secret"})


def text(value):
    return {"DataType": "String", "StringValue": value}


def structured(**bodies):
    return {"Message": json.dumps(bodies), "MessageStructure": "json"}


def attributes_of(sns, endpoint):
    return sns.get_endpoint_attributes(EndpointArn=endpoint)["Attributes"]


# Firebase


def test_access_is_granted_to_the_service_account(firebase, service, google_key):
    _, sns, endpoint = firebase
    sns.publish(TargetArn=endpoint, Message="hello")
    call = service.expect(1)[0]
    assert call.path == "/v1/projects/shop-1/messages:send"
    assert call.headers["authorization"] == "Bearer access-1"
    assert call.json == {"message": {"data": {"default": "hello"}, "token": "registration"}}
    [grant] = service.grants
    assert grant.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    head, claims, signature = (part + "=" * (-len(part) % 4) for part in grant.form["assertion"].split("."))
    read = json.loads(base64.urlsafe_b64decode(claims))
    assert (read["iss"], read["aud"]) == ("shop@shop-1.example", f"{service.url}/token")
    assert read["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
    signed = grant.form["assertion"].rpartition(".")[0].encode()
    public = google_key[0].public_key()
    public.verify(base64.urlsafe_b64decode(signature), signed, padding.PKCS1v15(), SHA256())
    assert json.loads(base64.urlsafe_b64decode(head))["kid"] == "k1"


def test_payloads_of_the_former_protocol_are_taken_over(firebase, service):
    _, sns, endpoint = firebase
    payload = {
        "notification": {"title": "Order", "body": "placed", "sound": "bell"},
        "data": {"order": 7, "who": "ada"},
        "priority": "high",
        "time_to_live": 60,
        "collapse_key": "orders",
        "dry_run": True,
    }
    sns.publish(TargetArn=endpoint, **structured(default="x", GCM=json.dumps(payload)))
    assert service.expect(1)[0].json == {
        "message": {
            "token": "registration",
            "notification": {"title": "Order", "body": "placed"},
            "data": {"order": "7", "who": "ada"},
            "android": {
                "notification": {"sound": "bell"},
                "priority": "high",
                "ttl": "60s",
                "collapse_key": "orders",
            },
        },
        "validate_only": True,
    }


def test_a_message_of_http_v1_and_a_ttl(firebase, service):
    _, sns, endpoint = firebase
    message = {"notification": {"title": "Order"}, "android": {"priority": "HIGH"}}
    sns.publish(
        TargetArn=endpoint,
        **structured(GCM=json.dumps({"fcmV1Message": {"validate_only": False, "message": message}})),
        MessageAttributes={"AWS.SNS.MOBILE.GCM.TTL": {"DataType": "Number", "StringValue": "30"}},
    )
    sent = service.expect(1)[0].json["message"]
    assert sent == {**message, "android": {"priority": "HIGH", "ttl": "30s"}, "token": "registration"}


def error(status, code, error_code=None, message="no", **details):
    listed = [{"errorCode": error_code}] if error_code else []
    return code, {"error": {"status": status, "message": message, "details": [*listed, details]}}, {}


@pytest.mark.parametrize(
    "refusal",
    [
        error("NOT_FOUND", 404, "UNREGISTERED"),
        error("PERMISSION_DENIED", 403, "SENDER_ID_MISMATCH"),
        error("INVALID_ARGUMENT", 400, "INVALID_ARGUMENT", "The registration token is not a valid FCM token"),
        error("INVALID_ARGUMENT", 400, fieldViolations=[{"field": "message.token"}]),
    ],
)
def test_a_registration_that_is_rejected_disables_the_endpoint(refusal, firebase, service, until):
    _, sns, endpoint = firebase
    service.answers = [refusal]
    sns.publish(TargetArn=endpoint, Message="one")
    until(lambda: attributes_of(sns, endpoint)["Enabled"] == "false")


def test_other_refusals_leave_the_endpoint_be(firebase, service):
    _, sns, endpoint = firebase
    service.answers = [error("INVALID_ARGUMENT", 400, fieldViolations=[{"field": "message.data"}])]
    sns.publish(TargetArn=endpoint, Message="one")
    service.expect(1)
    sns.publish(TargetArn=endpoint, Message="two")
    service.expect(2)
    assert attributes_of(sns, endpoint)["Enabled"] == "true"


def test_access_is_renewed(firebase, service, until):
    server, sns, endpoint = firebase

    def access_of(message):
        sns.publish(TargetArn=endpoint, Message=message)
        until(lambda: [call for call in service.calls if message.encode() in call.body])
        return next(call.headers["authorization"] for call in service.calls if message.encode() in call.body)

    assert access_of("one") == "Bearer access-1"
    server.advance(3_600)
    assert access_of("two") == "Bearer access-2"


def test_access_that_is_refused_is_renewed_at_once(firebase, service):
    _, sns, endpoint = firebase
    service.answers = [error("UNAUTHENTICATED", 401)]
    sns.publish(TargetArn=endpoint, Message="one")
    refused, again = service.expect(2)
    assert (refused.body, refused.headers["authorization"]) == (again.body, "Bearer access-1")
    assert again.headers["authorization"] == "Bearer access-2"


@pytest.mark.parametrize("refusal", [error("UNAVAILABLE", 503), error("RESOURCE_EXHAUSTED", 429, "QUOTA_EXCEEDED")])
def test_what_passes_is_tried_again(refusal, firebase, service, until_called):
    server, sns, endpoint = firebase
    service.answers = [refusal]
    sns.publish(TargetArn=endpoint, Message="one")
    assert len({call.body for call in until_called(server, service, 2)}) == 1


def test_credentials_that_are_none_are_refused(service, serve_with):
    sns = serve_with(push=f"GCM={service.url}").client("sns")
    account = json.dumps({"private_key": "no key", "project_id": "shop-1"})
    with pytest.raises(sns.exceptions.InvalidParameterException, match="Platform credentials are invalid"):
        sns.create_platform_application(Name="shop", Platform="GCM", Attributes={"PlatformCredential": account})


# Amazon


def test_amazon_device_messaging(amazon, service):
    _, sns, endpoint = amazon
    payload = {"data": {"order": 7}, "consolidationKey": "orders"}
    sns.publish(
        TargetArn=endpoint,
        **structured(ADM=json.dumps(payload)),
        MessageAttributes={"AWS.SNS.MOBILE.ADM.TTL": text("60")},
    )
    call = service.expect(1)[0]
    assert call.path == "/messaging/registrations/amzn1.adm%2F1/messages"
    assert call.headers["x-amzn-type-version"] == "com.amazon.device.messaging.ADMMessage@1.0"
    assert call.json == {"data": {"order": "7"}, "consolidationKey": "orders", "expiresAfter": 60}
    assert service.grants[0].form["client_id"] == "client"


def test_a_registration_that_has_changed_is_taken_over(amazon, service, until):
    _, sns, endpoint = amazon
    service.answers = [(200, {"registrationID": "amzn1.adm/2"}, {})]
    sns.publish(TargetArn=endpoint, Message="one")
    until(lambda: attributes_of(sns, endpoint)["Token"] == "amzn1.adm/2")
    sns.publish(TargetArn=endpoint, Message="two")
    assert service.expect(2)[1].path.endswith("amzn1.adm%2F2/messages")


def test_a_registration_that_amazon_rejects(amazon, service, until):
    _, sns, endpoint = amazon
    service.answers = [(400, {"reason": "Unregistered"}, {})]
    sns.publish(TargetArn=endpoint, Message="one")
    until(lambda: attributes_of(sns, endpoint)["Enabled"] == "false")


# Baidu


def test_baidu(register, service, until):
    keys = {"PlatformPrincipal": "api-key", "PlatformCredential": "secret"}
    _, sns, endpoint = register("BAIDU", "ch1", keys, Attributes={"ChannelId": "ch1", "UserId": "u1"})
    sns.publish(TargetArn=endpoint, Message="Größe")
    call = service.expect(1)[0]
    form = call.form
    assert json.loads(form["msg"]) == {"title": "Message", "description": "Größe"}
    assert (form["apikey"], form["channel_id"], form["msg_type"]) == ("api-key", "ch1", "1")
    given = form.pop("sign")
    url = f"{service.url}/rest/3.0/push/single_device"
    plain = "POST" + url + "".join(f"{name}={form[name]}" for name in sorted(form)) + "secret"
    assert given == hashlib.md5(quote_plus(plain).encode()).hexdigest()
    service.answers = [(400, {"error_code": 30608, "error_msg": "Bind Relation Not Found"}, {})]
    sns.publish(TargetArn=endpoint, Message="one")
    until(lambda: attributes_of(sns, endpoint)["Enabled"] == "false")


# Microsoft


def test_windows(register, service, until):
    keys = {"PlatformPrincipal": "ms-app://s-1", "PlatformCredential": "secret"}
    _, sns, endpoint = register("WNS", f"{service.url}/?token=1", keys)
    sns.publish(TargetArn=endpoint, Message="a < b")
    call = service.expect(1)[0]
    assert (call.path, call.headers["x-wns-type"], call.headers["content-type"]) == (
        "/?token=1",
        "wns/toast",
        "text/xml",
    )
    assert b"a &lt; b" in call.body
    assert call.headers["authorization"] == "Bearer access-1"
    assert service.grants[0].form["client_id"] == "ms-app://s-1"
    values = {"AWS.SNS.MOBILE.WNS.Type": text("wns/raw"), "AWS.SNS.MOBILE.WNS.TTL": text("60")}
    sns.publish(TargetArn=endpoint, **structured(WNS="raw"), MessageAttributes=values)
    call = service.expect(2)[1]
    assert (call.body, call.headers["x-wns-ttl"], call.headers["content-type"]) == (
        b"raw",
        "60",
        "application/octet-stream",
    )
    service.answers = [(410, {}, {})]
    sns.publish(TargetArn=endpoint, Message="one")
    until(lambda: attributes_of(sns, endpoint)["Enabled"] == "false")


def test_a_channel_of_somebody_elses_is_not_posted_to(register, service):
    keys = {"PlatformPrincipal": "ms-app://s-1", "PlatformCredential": "secret"}
    _, sns, endpoint = register("WNS", "http://127.0.0.1:1/inside", keys)
    sns.publish(TargetArn=endpoint, Message="one")
    sns.set_endpoint_attributes(EndpointArn=endpoint, Attributes={"Token": f"{service.url}/mine"})
    sns.publish(TargetArn=endpoint, Message="two")
    assert b"two" in service.expect(1)[0].body
