"""What the push transport does besides putting messages to services."""

import asyncio
import json

import pytest

from headrace.context import Channels
from headrace.primitives.metadata import Write
from headrace.services.sns import platform_records, platform_store
from headrace.services.sns.platform_records import Application, ApplicationRecord, EndpointRecord
from headrace.services.sns.transports import Verdict
from headrace.services.sns.transports.http_client import NoAnswer
from headrace.services.sns.transports.outbox import Outbox
from headrace.services.sns.transports.push import PushTransport
from headrace.services.sns.transports.responses import Answer

SHOP = Application("us-east-1", "000000000000", "ADM", "shop")
KEYS = {"PlatformPrincipal": "client", "PlatformCredential": "secret"}


class Client:
    """Stands for the HTTP client: grants access tokens, and answers all else as it is told."""

    def __init__(self):
        self.grants, self.sent, self.answers = 0, [], []
        self.asked, self.lets_go = asyncio.Event(), asyncio.Event()
        self.lets_go.set()

    async def send(self, request, tls=None):
        await asyncio.sleep(0)
        if request.url.endswith("/token"):
            self.grants += 1
            return Answer(200, {}, json.dumps({"access_token": f"a{self.grants}", "expires_in": 3600}).encode())
        self.sent.append(request)
        self.asked.set()
        await self.lets_go.wait()
        answer = self.answers.pop(0) if self.answers else Answer(200, {}, b"{}")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self):
        pass


@pytest.fixture
def client():
    return Client()


@pytest.fixture
async def deliver(server, client, delivery_to):
    """A function that delivers to a device of an application on a service that is called."""
    server.channels = Channels(push="ADM=https://push.example")
    device = EndpointRecord(created_at_ms=0, attributes={"Token": "t1", "Enabled": "true"})
    application = ApplicationRecord(created_at_ms=0, attributes=KEYS)
    await server.engine.metadata.apply(
        [
            Write(SHOP.key, platform_records.encode(application)),
            Write(SHOP.endpoint_key("e1"), platform_records.encode(device)),
            Write(SHOP.token_key("t1"), b"e1"),
        ]
    )
    transport = PushTransport(server, client, Outbox(server))
    yield lambda **changes: transport.deliver(delivery_to(SHOP.endpoint_arn("e1"), "application", **changes))
    await transport.close()


async def device_of(server):
    return (await platform_store.find_device(server, SHOP.endpoint_arn("e1"))).record


async def test_access_is_asked_for_once(deliver, client):
    outcomes = await asyncio.gather(*(deliver() for _ in range(20)))
    assert {each.verdict for each in outcomes} == {Verdict.DELIVERED}
    assert (client.grants, len(client.sent)) == (1, 20)


async def test_access_that_many_find_expired_is_asked_for_once_more(deliver, client):
    await deliver()
    client.answers = [Answer(401, {})] * 5
    outcomes = await asyncio.gather(*(deliver() for _ in range(5)))
    assert {each.verdict for each in outcomes} == {Verdict.DELIVERED}
    assert client.grants == 2


async def test_credentials_that_are_refused_for_good(deliver, client):
    client.answers = [Answer(401, {})] * 2
    outcome = await deliver()
    assert (outcome.verdict, outcome.reason) == (Verdict.FAILED, "Platform credentials are invalid")


async def test_no_answer_is_tried_again(deliver, client):
    client.answers = [NoAnswer("gone")]
    assert (await deliver()).verdict is Verdict.RETRY


async def test_a_rejected_token_that_was_replaced_meanwhile_is_no_reason(deliver, client, server):
    client.answers = [Answer(400, {}, b'{"reason": "Unregistered"}')]
    client.lets_go.clear()
    sending = asyncio.create_task(deliver())
    await client.asked.wait()
    await platform_store.revise_device(
        server, SHOP.endpoint_arn("e1"), lambda record: {**record.attributes, "Token": "t2"}
    )
    client.lets_go.set()
    await sending
    assert (await device_of(server)).enabled


async def test_a_rejected_token_disables(deliver, client, server):
    client.answers = [Answer(400, {}, b'{"reason": "Unregistered"}')]
    assert (await deliver()).verdict is Verdict.FAILED
    assert not (await device_of(server)).enabled
    assert (await deliver()).reason == "Endpoint is disabled"
    assert len(client.sent) == 1


async def test_an_application_that_is_disabled(deliver, server):
    record = ApplicationRecord(created_at_ms=0, attributes={**KEYS, "Enabled": "false"})
    await server.engine.metadata.put(SHOP.key, platform_records.encode(record))
    assert (await deliver()).reason == "Platform application is disabled"


async def test_a_message_without_a_text_for_the_platform(deliver, client):
    outcome = await deliver(bodies={"GCM": "{}"}, message="{}")
    assert (outcome.verdict, outcome.reason) == (Verdict.FAILED, "The message has no text for ADM, and no default")
    assert client.sent == []


async def test_what_was_deleted(deliver, server):
    await server.engine.metadata.delete(SHOP.endpoint_key("e1"))
    assert (await deliver()).reason == "The endpoint was deleted"
