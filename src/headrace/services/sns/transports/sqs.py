"""To SQS queues that could not take a message at once, and confirmations to queues of other accounts."""

from __future__ import annotations

from headrace.context import Server
from headrace.errors import ServiceError
from headrace.services.sns import envelopes, queue_messages, rules
from headrace.services.sns.records import Delivery
from headrace.services.sns.transports import Outcome, delivered, failed, retry


class SqsTransport:
    """Sends to queues through the server's own pipeline. What can be delivered at once does not come this way."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def deliver(self, delivery: Delivery) -> Outcome:
        """See `Transport.deliver`."""
        queue = rules.parse_queue_arn(delivery.endpoint)
        if queue is None:
            return failed(f"{delivery.endpoint} is not the ARN of a queue")
        region, account, name = queue
        body = await envelopes.queue_body(self._server, delivery)
        params = queue_messages.entry(
            delivery.publication, body, raw=delivery.raw, fifo=name.endswith(rules.FIFO_SUFFIX)
        )
        params["QueueUrl"] = queue_messages.queue_url(account, name)
        sender = queue_messages.principal(delivery.publication.account, delivery.publication.topic_arn)
        try:
            await self._server.invoke("sqs", "SendMessage", params, principal=sender, region=region)
        except ServiceError as error:
            outcome = retry if queue_messages.is_retried(error) else failed
            return outcome(error.message, status=error.status, response=error.code)
        return delivered(200)

    async def close(self) -> None:
        """See `Transport.close`."""
