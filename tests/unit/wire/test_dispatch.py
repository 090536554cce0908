import asyncio
import logging
import re

import msgspec
import pytest
import structlog

from headrace.context import Event, Principal, ResourcePolicy
from headrace.errors import ServiceError, StorageFull
from headrace.logging_setup import add_request_id

JSON = {"Content-Type": "application/x-amz-json-1.0"}
SEND = JSON | {"X-Amz-Target": "AmazonSQS.SendMessage"}
BODY = b'{"QueueUrl": "u", "MessageBody": "b"}'
CALLER = Principal(account="000000000000", access_key_id="", user_id="me", arn="arn")


@pytest.fixture
def log():
    with structlog.testing.capture_logs(processors=[add_request_id]) as lines:
        yield lines


def failing(error):
    async def send_message(_ctx, _params):
        raise error

    return send_message


async def test_a_call_reaches_its_operation_with_its_surroundings(operations, ask):
    async def send_message(ctx, params):
        assert params == {"QueueUrl": "u", "MessageBody": "b"}
        assert (ctx.state, ctx.region, ctx.account) == ("state", "eu-west-1", "123456789012")
        assert ctx.base_url == "http://headrace.test:4566"
        assert ctx.hangup is not None
        return {"MessageId": ctx.request_id}

    operations.send_message = send_message
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=123456789012/20250101/eu-west-1/sqs/aws4_request, x"}
    answer = await ask(BODY, headers=SEND | signed)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-amz-json-1.0")
    assert msgspec.json.decode(answer.body) == {"MessageId": answer.headers["x-amzn-requestid"]}


async def test_a_query_call_takes_the_same_way(operations, ask):
    async def send_message(ctx, params):
        assert params == {"QueueUrl": "http://headrace.test:4566/000000000000/q", "MessageBody": "b"}
        return {"MessageId": ctx.region}

    operations.send_message = send_message
    answer = await ask(b"Action=SendMessage&MessageBody=b", path="/000000000000/q")
    assert answer.status == 200
    assert b"<SendMessageResult><MessageId>us-east-1</MessageId></SendMessageResult>" in answer.body
    assert f"<RequestId>{answer.headers['x-amzn-requestid']}</RequestId>".encode() in answer.body


async def test_request_ids_are_uuids_in_form_and_differ(ask):
    answers = [await ask(path="/_headrace/health", method="GET") for _ in range(3)]
    ids = {answer.headers["x-amzn-requestid"] for answer in answers}
    assert len(ids) == 3
    assert all(re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", each) for each in ids)


async def test_an_error_of_the_service_is_answered_in_the_callers_protocol(operations, ask):
    operations.send_message = failing(ServiceError("MessageNotInflight", "It is <not>."))
    answer = await ask(BODY, headers=SEND)
    assert answer.status == 400
    assert answer.headers["x-amzn-query-error"] == "AWS.SimpleQueueService.MessageNotInflight;Sender"
    assert msgspec.json.decode(answer.body) == {
        "__type": "com.amazonaws.sqs#MessageNotInflight",
        "message": "It is <not>.",
    }
    answer = await ask(b"Action=SendMessage&QueueUrl=u&MessageBody=b")
    assert b"<Code>AWS.SimpleQueueService.MessageNotInflight</Code><Message>It is &lt;not&gt;.</Message>" in answer.body


async def test_a_storage_failure_is_a_503_that_says_why(operations, ask, log):
    operations.send_message = failing(StorageFull("no room left"))
    answer = await ask(BODY, headers=SEND)
    assert answer.status == 503
    assert answer.headers["x-amzn-query-error"] == "ServiceUnavailable;Receiver"
    assert b"no room left" in answer.body
    assert log[0]["request_id"] == answer.headers["x-amzn-requestid"]


async def test_anything_else_is_logged_and_kept_from_the_caller(operations, ask, log):
    operations.send_message = failing(KeyError("secret"))
    answer = await ask(BODY, headers=SEND)
    request_id = answer.headers["x-amzn-requestid"]
    assert (answer.status, b"secret" in answer.body, request_id.encode() in answer.body) == (500, False, True)
    assert (log[0]["log_level"], log[0]["request_id"]) == ("error", request_id)
    assert isinstance(log[0]["exc_info"], KeyError)


async def test_a_result_that_cannot_be_encoded_is_an_internal_failure(operations, ask, log):
    async def send_message(_ctx, _params):
        return {"MessageId": object()}

    operations.send_message = send_message
    assert (await ask(BODY, headers=SEND)).status == 500
    assert log


async def test_no_answer_when_the_client_has_hung_up(operations, ask):
    operations.send_message = failing(asyncio.CancelledError())
    assert (await ask(BODY, headers=SEND)).status == 0


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_told_which_there_are(ask, method):
    for headers in ({}, SEND):
        answer = await ask(b"{}", method=method, headers=headers)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")


async def test_headraces_own_endpoints_answer_in_json(ask):
    answer = await ask(path="/_headrace/health", method="GET")
    assert (answer.status, answer.body) == (200, b'{"status":"ok"}')
    answer = await ask(path="/_headrace/nothing", method="GET")
    assert (answer.status, msgspec.json.decode(answer.body)["__type"]) == (404, "NotFound")


async def test_calls_are_logged_when_that_is_asked_for(ask):
    lines = []
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        processors=[lambda _logger, _method, event: lines.append(event) or "line"],
        logger_factory=structlog.ReturnLoggerFactory(),
    )
    try:
        await ask(BODY, headers=SEND)
    finally:
        structlog.reset_defaults()
    assert [line["event"] for line in lines] == ["refused", "answered"]
    assert lines[0]["code"] == "UnsupportedOperation"
    assert (lines[1]["call"], lines[1]["status"]) == ("SendMessage", 400)


class TestInvoke:
    async def test_calls_the_operation(self, operations, request):
        async def send_message(ctx, params):
            assert (ctx.principal, ctx.region, ctx.base_url) == (CALLER, "eu-west-1", "http://base.test")
            return {"MessageId": params["MessageBody"]}

        operations.send_message = send_message
        dispatcher = request.getfixturevalue("dispatcher")
        params = {"QueueUrl": "u", "MessageBody": "b"}
        result = await dispatcher.invoke("sqs", "SendMessage", params, principal=CALLER, region="eu-west-1")
        assert result == {"MessageId": "b"}

    async def test_checks_the_parameters_as_for_a_request(self, dispatcher):
        with pytest.raises(ServiceError, match="MessageBody"):
            await dispatcher.invoke("sqs", "SendMessage", {"QueueUrl": "u"}, principal=CALLER, region="eu-west-1")

    async def test_raises_what_the_operation_raises(self, operations, request):
        operations.send_message = failing(ServiceError("OverLimit", "too many"))
        dispatcher = request.getfixturevalue("dispatcher")
        params = {"QueueUrl": "u", "MessageBody": "b"}
        with pytest.raises(ServiceError, match="too many"):
            await dispatcher.invoke("sqs", "SendMessage", params, principal=CALLER, region="eu-west-1")


class TestPrepareTogether:
    async def test_makes_all_calls_as_one(self, operations, request):
        async def send_message_together(ctx, calls):
            assert (ctx.principal, ctx.region, ctx.base_url) == (CALLER, "eu-west-1", "http://base.test")
            made.append([each["MessageBody"] for each in calls])

        made = []
        operations.send_message_together = send_message_together
        dispatcher = request.getfixturevalue("dispatcher")
        call = dispatcher.prepare_together("sqs", "SendMessage", principal=CALLER, region="eu-west-1")
        await call([{"QueueUrl": "u", "MessageBody": "a"}, {"QueueUrl": "u", "MessageBody": "b"}])
        await call([{"QueueUrl": "u", "MessageBody": "c"}])
        assert made == [["a", "b"], ["c"]]

    async def test_only_for_what_has_such_a_way(self, dispatcher):
        with pytest.raises(AssertionError, match="no ReceiveMessage of many calls"):
            dispatcher.prepare_together("sqs", "ReceiveMessage", principal=CALLER, region="eu-west-1")


class TestPolicies:
    """What a service may do for its own resources is up to the resource that it calls."""

    TOPIC = "arn:aws:sns:us-east-1:000000000000:t"
    SERVICE = Principal("000000000000", "", "", "", service="sns.amazonaws.com", source_arn=TOPIC)
    ALLOW, DENY = (
        f'{{"Statement": {{"Effect": "{effect}", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}}}}'
        for effect in ("Allow", "Deny")
    )

    @pytest.fixture
    def calls(self, operations, request):
        """Ways to send to a queue `allows` or `denies`; what was sent is in `sent`."""

        policies = {
            url: ResourcePolicy(f"arn:aws:sqs:us-east-1:000000000000:{url}", text)
            for url, text in (("allows", self.ALLOW), ("denies", self.DENY))
        }

        async def later(url):
            return policies[url]

        def resource_policy(_ctx, params):
            url = params["QueueUrl"].removeprefix("new ")
            return policies[url] if url == params["QueueUrl"] else later(url)

        async def send_message(_ctx, params):
            self.sent.append(params["MessageBody"])
            return {}

        async def send_message_together(_ctx, calls):
            self.sent += [params["MessageBody"] for params in calls]

        self.sent = []
        operations.resource_policy = resource_policy
        operations.send_message = send_message
        operations.send_message_together = send_message_together
        return request.getfixturevalue("dispatcher")

    @pytest.mark.parametrize("way", ["invoke", "prepare"])
    async def test_one_call(self, calls, way):
        caller = {"principal": self.SERVICE, "region": "us-east-1"}

        async def send(url):
            params = {"QueueUrl": url, "MessageBody": url}
            if way == "invoke":
                await calls.invoke("sqs", "SendMessage", params, **caller)
            else:
                await calls.prepare("sqs", "SendMessage", **caller)(params)

        await send("allows")
        await send("new allows")
        with pytest.raises(ServiceError, match="its policy denies it") as refused:
            await send("denies")
        assert (refused.value.code, refused.value.status) == ("AccessDenied", 403)
        with pytest.raises(ServiceError, match="its policy denies it"):
            await send("new denies")
        assert self.sent == ["allows", "new allows"]

    async def test_of_many_calls_none_is_made_when_one_is_refused(self, calls):
        call = calls.prepare_together("sqs", "SendMessage", principal=self.SERVICE, region="us-east-1")
        await call([{"QueueUrl": "allows", "MessageBody": "a"}] * 2)
        with pytest.raises(ServiceError, match="its policy denies it"):
            await call([{"QueueUrl": "allows", "MessageBody": "b"}, {"QueueUrl": "denies", "MessageBody": "b"}])
        assert self.sent == ["a", "a"]

    async def test_people_are_not_asked_for_yet(self, calls, ask):
        params = {"QueueUrl": "denies", "MessageBody": "b"}
        await calls.invoke("sqs", "SendMessage", params, principal=CALLER, region="us-east-1")
        answer = await ask(b'{"QueueUrl": "denies", "MessageBody": "c"}', headers=SEND)
        assert answer.status == 200
        assert self.sent == ["b", "c"]


SUBSCRIBE = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202.SubscribeToShard"}
CONSUMER = "arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1"
POSITION = b'{"ConsumerARN": "%s", "ShardId": "s", "StartingPosition": {"Type": "LATEST"}}' % CONSUMER.encode()


async def test_an_operation_that_streams_tells_of_a_failure_in_the_stream(operations, ask, log):
    async def events():
        yield Event({"SubscribeToShardEvent": {"Records": []}})
        raise ValueError("secret")

    async def subscribe_to_shard(_ctx, _params):
        return {"EventStream": events()}

    operations.subscribe_to_shard = subscribe_to_shard
    answer = await ask(POSITION, headers=SUBSCRIBE)
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert b"SubscribeToShardEvent" in answer.body
    assert b"InternalFailure" in answer.body
    assert b"secret" not in answer.body
    assert "request failed" in [line["event"] for line in log]


async def test_an_operation_that_streams_may_refuse(operations, ask):
    async def subscribe_to_shard(_ctx, _params):
        raise ServiceError("ResourceInUseException", "In use.")

    operations.subscribe_to_shard = subscribe_to_shard
    answer = await ask(POSITION, headers=SUBSCRIBE)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/x-amz-json-1.1")
    assert msgspec.json.decode(answer.body) == {"__type": "ResourceInUseException", "message": "In use."}
