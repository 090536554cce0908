// The AWS SDK for JavaScript against a running Headrace. The SDK checks the MD5 digests of bodies and attributes itself.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import {
  AddPermissionCommand,
  CancelMessageMoveTaskCommand,
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListDeadLetterSourceQueuesCommand,
  ListMessageMoveTasksCommand,
  ListQueuesCommand,
  ListQueueTagsCommand,
  paginateListQueues,
  PurgeQueueCommand,
  QueueDoesNotExist,
  QueueNameExists,
  ReceiveMessageCommand,
  RemovePermissionCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
  StartMessageMoveTaskCommand,
  TagQueueCommand,
  UntagQueueCommand,
} from "@aws-sdk/client-sqs";

const sqs = new SQSClient({
  endpoint: process.env.HEADRACE_ENDPOINT,
  region: "us-east-1",
  credentials: { accessKeyId: "headrace", secretAccessKey: "headrace" },
  maxAttempts: 1,
});

const create = async (name, Attributes) =>
  (await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes }))).QueueUrl;

const arnOf = async (QueueUrl) =>
  (await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["QueueArn"] }))).Attributes.QueueArn;

const receive = async (QueueUrl, options = {}) =>
  (await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, ...options }))).Messages ?? [];

let url;
before(async () => {
  url = await create("js");
});

test("a message with attributes makes the round", async () => {
  const MessageAttributes = {
    text: { DataType: "String", StringValue: "Grüße <&>" },
    number: { DataType: "Number.int", StringValue: "42" },
    bytes: { DataType: "Binary", BinaryValue: new Uint8Array([0, 255, 30]) },
  };
  const sent = await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: "Grüße\r\n🚀", MessageAttributes }));
  const [message] = await receive(url, { MessageAttributeNames: ["All"], MessageSystemAttributeNames: ["All"] });
  assert.equal(message.Body, "Grüße\r\n🚀");
  assert.equal(message.MessageId, sent.MessageId);
  assert.equal(message.MD5OfMessageAttributes, sent.MD5OfMessageAttributes);
  assert.deepEqual(message.MessageAttributes.text, MessageAttributes.text);
  assert.deepEqual([...message.MessageAttributes.bytes.BinaryValue], [0, 255, 30]);
  assert.equal(message.Attributes.ApproximateReceiveCount, "1");
  await sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: message.ReceiptHandle }));
});

test("batches answer for each entry", async () => {
  const queue = await create("js-batches");
  const Entries = ["a", "b", "c"].map((Id) => ({ Id, MessageBody: `body ${Id}` }));
  Entries.push({ Id: "bad", MessageBody: "x", DelaySeconds: 901 });
  const sent = await sqs.send(new SendMessageBatchCommand({ QueueUrl: queue, Entries }));
  assert.deepEqual(sent.Successful.map((entry) => entry.Id).sort(), ["a", "b", "c"]);
  assert.equal(sent.Failed[0].Code, "InvalidParameterValue");
  assert.equal(sent.Failed[0].SenderFault, true);
  const messages = await receive(queue);
  assert.equal(messages.length, 3);
  const hidden = await sqs.send(
    new ChangeMessageVisibilityBatchCommand({
      QueueUrl: queue,
      Entries: messages.map((m, index) => ({
        Id: `${index}`,
        ReceiptHandle: m.ReceiptHandle,
        VisibilityTimeout: 60,
      })),
    }),
  );
  assert.equal(hidden.Successful.length, 3);
  const deleted = await sqs.send(
    new DeleteMessageBatchCommand({
      QueueUrl: queue,
      Entries: messages.map((m, index) => ({ Id: `${index}`, ReceiptHandle: m.ReceiptHandle })),
    }),
  );
  assert.equal(deleted.Successful.length, 3);
  assert.equal((deleted.Failed ?? []).length, 0);
});

test("visibility can be given up", async () => {
  const queue = await create("js-visibility");
  await sqs.send(new SendMessageCommand({ QueueUrl: queue, MessageBody: "again" }));
  const [first] = await receive(queue);
  assert.equal((await receive(queue)).length, 0);
  await sqs.send(
    new ChangeMessageVisibilityCommand({
      QueueUrl: queue,
      ReceiptHandle: first.ReceiptHandle,
      VisibilityTimeout: 0,
    }),
  );
  const [second] = await receive(queue);
  assert.equal(second.MessageId, first.MessageId);
});

test("a long poll ends with the message that is sent", async () => {
  const queue = await create("js-waiting");
  const waiting = receive(queue, { WaitTimeSeconds: 20 });
  await sqs.send(new SendMessageCommand({ QueueUrl: queue, MessageBody: "wake up" }));
  assert.equal((await waiting)[0].Body, "wake up");
});

test("fifo queues order and deduplicate", async () => {
  const queue = await create("js.fifo", { FifoQueue: "true", ContentBasedDeduplication: "true" });
  const send = (MessageBody) =>
    sqs.send(new SendMessageCommand({ QueueUrl: queue, MessageBody, MessageGroupId: "g" }));
  const one = await send("1");
  await send("2");
  assert.equal((await send("1")).MessageId, one.MessageId);
  assert.match(one.SequenceNumber, /^\d{20}$/);
  assert.deepEqual((await receive(queue)).map((m) => m.Body), ["1", "2"]);
  assert.deepEqual(await receive(queue), []);
});

test("errors are instances of their classes", async () => {
  await assert.rejects(sqs.send(new GetQueueUrlCommand({ QueueName: "nowhere" })), (error) => {
    assert.ok(error instanceof QueueDoesNotExist);
    assert.equal(error.name, "QueueDoesNotExist");
    assert.equal(error.$metadata.httpStatusCode, 400);
    assert.ok(error.$metadata.requestId);
    return true;
  });
  await assert.rejects(create("js", { DelaySeconds: "9" }), (error) => error instanceof QueueNameExists);
  await assert.rejects(
    sqs.send(new ReceiveMessageCommand({ QueueUrl: url, MaxNumberOfMessages: 11 })),
    (error) => error.message.includes("Must be between 1 and 10, if provided."),
  );
});

test("queues are listed in pages", async () => {
  for (const number of [1, 2, 3]) await create(`js-page-${number}`);
  const found = [];
  for await (const page of paginateListQueues({ client: sqs, pageSize: 2 }, { QueueNamePrefix: "js-page-" })) {
    found.push(...(page.QueueUrls ?? []));
  }
  assert.equal(found.length, 3);
  const all = await sqs.send(new ListQueuesCommand({ QueueNamePrefix: "js-page-" }));
  assert.deepEqual([...found].sort(), [...all.QueueUrls].sort());
});

test("tags, attributes and permissions are kept", async () => {
  await sqs.send(new TagQueueCommand({ QueueUrl: url, Tags: { team: "orders", stage: "test" } }));
  await sqs.send(new UntagQueueCommand({ QueueUrl: url, TagKeys: ["stage"] }));
  assert.deepEqual((await sqs.send(new ListQueueTagsCommand({ QueueUrl: url }))).Tags, { team: "orders" });
  await sqs.send(new SetQueueAttributesCommand({ QueueUrl: url, Attributes: { VisibilityTimeout: "45" } }));
  const permission = { QueueUrl: url, Label: "share" };
  await sqs.send(new AddPermissionCommand({ ...permission, AWSAccountIds: ["123456789012"], Actions: ["*"] }));
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ["VisibilityTimeout", "Policy"] }),
  );
  assert.equal(Attributes.VisibilityTimeout, "45");
  assert.equal(JSON.parse(Attributes.Policy).Statement[0].Sid, "share");
  await sqs.send(new RemovePermissionCommand(permission));
});

test("dead letters move and can be redriven", async () => {
  const dead = await create("js-dead");
  const SourceArn = await arnOf(dead);
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: SourceArn, maxReceiveCount: 1 });
  const source = await create("js-source", { RedrivePolicy, VisibilityTimeout: "0" });
  const sources = await sqs.send(new ListDeadLetterSourceQueuesCommand({ QueueUrl: dead }));
  assert.deepEqual(sources.queueUrls, [source]);
  await sqs.send(new SendMessageCommand({ QueueUrl: source, MessageBody: "poison" }));
  assert.equal((await receive(source)).length, 1);
  assert.equal((await receive(source)).length, 0);
  const { TaskHandle } = await sqs.send(new StartMessageMoveTaskCommand({ SourceArn }));
  assert.ok(TaskHandle);
  const [moved] = await receive(source, { WaitTimeSeconds: 10, VisibilityTimeout: 30 });
  assert.equal(moved.Body, "poison");
  const { Results } = await sqs.send(new ListMessageMoveTasksCommand({ SourceArn }));
  assert.equal(Results[0].SourceArn, SourceArn);
  await assert.rejects(sqs.send(new CancelMessageMoveTaskCommand({ TaskHandle: "garbage" })));
});

test("a queue can be emptied and deleted", async () => {
  const queue = await create("js-gone");
  await sqs.send(new SendMessageCommand({ QueueUrl: queue, MessageBody: "x" }));
  await sqs.send(new PurgeQueueCommand({ QueueUrl: queue }));
  assert.deepEqual(await receive(queue), []);
  await sqs.send(new DeleteQueueCommand({ QueueUrl: queue }));
  await assert.rejects(sqs.send(new SendMessageCommand({ QueueUrl: queue, MessageBody: "x" })));
});
