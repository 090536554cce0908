// sqs-consumer against a running Headrace: each message is handled and deleted once, a failed one comes again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CreateQueueCommand, GetQueueAttributesCommand, SendMessageBatchCommand, SQSClient } from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";

const sqs = new SQSClient({
  endpoint: process.env.HEADRACE_ENDPOINT,
  region: "us-east-1",
  credentials: { accessKeyId: "headrace", secretAccessKey: "headrace" },
});

async function filled(name, count, attributes = {}) {
  const created = await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }));
  const group = name.endsWith(".fifo") ? { MessageGroupId: "g" } : {};
  for (let start = 0; start < count; start += 10) {
    const Entries = Array.from({ length: Math.min(10, count - start) }, (_, index) => ({
      Id: `${index}`,
      MessageBody: `${start + index}`,
      ...group,
    }));
    await sqs.send(new SendMessageBatchCommand({ QueueUrl: created.QueueUrl, Entries }));
  }
  return created.QueueUrl;
}

async function depth(QueueUrl) {
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }));
  return Number(Attributes.ApproximateNumberOfMessages) + Number(Attributes.ApproximateNumberOfMessagesNotVisible);
}

// Run the consumer until the queue is empty; the errors it met.
async function drain(consumer) {
  const errors = [];
  for (const event of ["error", "processing_error", "timeout_error"]) {
    consumer.on(event, (error) => errors.push(error.message));
  }
  const empty = new Promise((resolve) => consumer.on("empty", resolve));
  consumer.start();
  await empty;
  const stopped = new Promise((resolve) => consumer.on("stopped", resolve));
  consumer.stop({ abort: true });
  await stopped;
  return errors;
}

const common = { sqs, pollingWaitTimeMs: 0, waitTimeSeconds: 1 };

test("every message is handled once", async () => {
  const queueUrl = await filled("consumer", 25);
  const handled = [];
  const handleMessage = async (message) => {
    handled.push(Number(message.Body));
    return message;
  };
  assert.deepEqual(await drain(Consumer.create({ ...common, queueUrl, handleMessage })), []);
  assert.deepEqual(handled.sort((a, b) => a - b), Array.from({ length: 25 }, (_, index) => index));
  assert.equal(await depth(queueUrl), 0);
});

test("batches are handled and deleted together", async () => {
  const queueUrl = await filled("consumer-batch", 25);
  let handled = 0;
  const handleMessageBatch = async (messages) => {
    handled += messages.length;
    return messages;
  };
  const consumer = Consumer.create({ ...common, queueUrl, batchSize: 10, handleMessageBatch });
  assert.deepEqual(await drain(consumer), []);
  assert.equal(handled, 25);
  assert.equal(await depth(queueUrl), 0);
});

test("a message whose handler fails comes again", async () => {
  const queueUrl = await filled("consumer-retry", 3);
  const attempts = new Map();
  const handleMessage = async (message) => {
    attempts.set(message.Body, (attempts.get(message.Body) ?? 0) + 1);
    if (message.Body === "1" && attempts.get("1") === 1) throw new Error("first time");
    return message;
  };
  const consumer = Consumer.create({ ...common, queueUrl, handleMessage, terminateVisibilityTimeout: true });
  const errors = await drain(consumer);
  assert.equal(errors.length, 1);
  assert.deepEqual(Object.fromEntries(attempts), { 0: 1, 1: 2, 2: 1 });
  assert.equal(await depth(queueUrl), 0);
});

test("a heartbeat keeps a message in flight", async () => {
  const queueUrl = await filled("consumer-heartbeat", 1, { VisibilityTimeout: "2" });
  let handled = 0;
  const handleMessage = async (message) => {
    handled += 1;
    await new Promise((resolve) => setTimeout(resolve, 2500));
    return message;
  };
  const consumer = Consumer.create({
    ...common,
    queueUrl,
    handleMessage,
    visibilityTimeout: 2,
    heartbeatInterval: 1,
  });
  assert.deepEqual(await drain(consumer), []);
  assert.equal(handled, 1);
});

test("a fifo queue is consumed in order", async () => {
  const queueUrl = await filled("consumer.fifo", 12, { FifoQueue: "true", ContentBasedDeduplication: "true" });
  const handled = [];
  const handleMessage = async (message) => {
    handled.push(Number(message.Body));
    return message;
  };
  const consumer = Consumer.create({ ...common, queueUrl, handleMessage, suppressFifoWarning: true });
  assert.deepEqual(await drain(consumer), []);
  assert.deepEqual(handled, Array.from({ length: 12 }, (_, index) => index));
});
