// sns-validator, AWS's own check of notifications, accepts what Headrace signs: told of our host, and of nothing else.

import assert from "node:assert/strict";
import { createVerify } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { get } from "node:https";
import { after, before, test } from "node:test";
import {
  ConfirmSubscriptionCommand,
  CreateTopicCommand,
  PublishBatchCommand,
  PublishCommand,
  SNSClient,
  SubscribeCommand,
} from "@aws-sdk/client-sns";
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import MessageValidator from "sns-validator";

const endpoint = process.env.HEADRACE_ENDPOINT;
const options = {
  endpoint,
  region: "us-east-1",
  credentials: { accessKeyId: "headrace", secretAccessKey: "headrace" },
  maxAttempts: 1,
};
const sns = new SNSClient(options);
const sqs = new SQSClient(options);
const ours = new RegExp(`^${new URL(endpoint).host.replaceAll(".", "\\.")}$`);
const validator = new MessageValidator(ours, "utf8");

function validate(message) {
  return new Promise((resolve, reject) => {
    validator.validate(message, (error, checked) => (error ? reject(error) : resolve(checked)));
  });
}

// AWS documents that the Token of an UnsubscribeConfirmation is signed as that of a SubscriptionConfirmation is.
// sns-validator leaves it out there, so that it is checked here by hand.
async function checkAsDocumented(message) {
  const [response] = await once(get(message.SigningCertURL), "response");
  const certificate = (await response.toArray()).join("");
  const names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];
  const verifier = createVerify(message.SignatureVersion === "1" ? "RSA-SHA1" : "RSA-SHA256");
  for (const name of names) verifier.update(`${name}\n${message[name]}\n`);
  assert.ok(verifier.verify(certificate, message.Signature, "base64"));
}

// An HTTP endpoint that keeps what it is sent.
const arrived = [];
let wake = () => {};
const subscriber = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  arrived.push({ headers: request.headers, message: JSON.parse(Buffer.concat(chunks)) });
  response.end();
  wake();
});

async function next(type) {
  for (;;) {
    const index = arrived.findIndex(({ headers }) => headers["x-amz-sns-message-type"] === type);
    if (index >= 0) return arrived.splice(index, 1)[0].message;
    await new Promise((resolve) => (wake = resolve));
  }
}

before(async () => {
  subscriber.listen(0, "127.0.0.1");
  await once(subscriber, "listening");
});

after(() => {
  subscriber.closeAllConnections();
  subscriber.close();
  sns.destroy();
  sqs.destroy();
});

async function topic(name, Attributes = {}) {
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: name, Attributes }));
  return TopicArn;
}

async function queueOf(TopicArn, name, Attributes = {}) {
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes }));
  const Endpoint = `arn:aws:sqs:us-east-1:000000000000:${name}`;
  await sns.send(new SubscribeCommand({ TopicArn, Protocol: "sqs", Endpoint }));
  return QueueUrl;
}

async function receive(QueueUrl) {
  const { Messages } = await sqs.send(
    new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 10, MaxNumberOfMessages: 10 }),
  );
  return Messages.map(({ Body }) => JSON.parse(Body));
}

const MESSAGES = [
  { Message: "Hello world!" },
  { Message: "Hello world!", Subject: "with a subject" },
  { Message: 'quotes " and \\ and\nlines\tand tabs', Subject: "a: b" },
  { Message: "ü € 🌍" },
  { Message: JSON.stringify({ default: "d", sqs: "for queues" }), MessageStructure: "json" },
  { Message: "x", MessageAttributes: { a: { DataType: "String", StringValue: "b" } } },
];

for (const version of ["1", "2"]) {
  test(`notifications to queues, version ${version}`, async () => {
    const TopicArn = await topic(`queues-${version}`, { SignatureVersion: version });
    const queue = await queueOf(TopicArn, `queue-${version}`);
    for (const message of MESSAGES) {
      const { MessageId } = await sns.send(new PublishCommand({ TopicArn, ...message }));
      const [received] = await receive(queue);
      assert.equal(received.SignatureVersion, version);
      assert.equal((await validate(received)).MessageId, MessageId);
      await assert.rejects(validate({ ...received, Message: `${received.Message}!` }));
    }
  });

  test(`what an HTTP endpoint is sent, version ${version}`, { timeout: 60_000 }, async () => {
    const TopicArn = await topic(`http-${version}`, { SignatureVersion: version });
    const Endpoint = `http://127.0.0.1:${subscriber.address().port}/`;
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: "http", Endpoint }));
    const confirmation = await validate(await next("SubscriptionConfirmation"));
    await sns.send(new ConfirmSubscriptionCommand({ TopicArn, Token: confirmation.Token }));
    await sns.send(new PublishCommand({ TopicArn, Message: "over HTTP", Subject: "s" }));
    const notification = await validate(await next("Notification"));
    assert.equal(notification.Message, "over HTTP");
    const [answer] = await once(get(notification.UnsubscribeURL), "response");
    assert.equal(answer.statusCode, 200);
    answer.resume();
    await checkAsDocumented(await next("UnsubscribeConfirmation"));
  });
}

test("notifications of a batch, and of a FIFO topic", async () => {
  const TopicArn = await topic("t.fifo", { FifoTopic: "true", ContentBasedDeduplication: "true" });
  const queue = await queueOf(TopicArn, "q.fifo", { FifoQueue: "true" });
  const entries = ["a", "b"].map((Id) => ({ Id, Message: Id, MessageGroupId: "g" }));
  await sns.send(new PublishBatchCommand({ TopicArn, PublishBatchRequestEntries: entries }));
  const received = [];
  while (received.length < 2) received.push(...(await receive(queue)));
  assert.deepEqual(received.map(({ Message }) => Message), ["a", "b"]);
  for (const message of received) {
    assert.match(message.SequenceNumber, /^[0-9]{20}$/);
    await validate(message);
  }
});

test("a host that is not ours is not trusted", async () => {
  const TopicArn = await topic("other");
  const queue = await queueOf(TopicArn, "other");
  await sns.send(new PublishCommand({ TopicArn, Message: "m" }));
  const [received] = await receive(queue);
  await assert.rejects(
    new Promise((_, reject) => new MessageValidator().validate(received, reject)),
    /certificate/i,
  );
});
