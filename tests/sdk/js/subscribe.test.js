// SubscribeToShard by the AWS SDK for JavaScript against a running Headrace.

import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import {
  DeregisterStreamConsumerCommand,
  DescribeStreamConsumerCommand,
  ListStreamConsumersCommand,
  PutRecordCommand,
  PutRecordsCommand,
  RegisterStreamConsumerCommand,
  ResourceInUseException,
  ResourceNotFoundException,
  SplitShardCommand,
  SubscribeToShardCommand,
} from "@aws-sdk/client-kinesis";
import { advance, bytes, HALF, kinesis, makeStream, SHARD, text } from "./kinesis-client.js";

// A subscription is ended by a signal: its connection is none of those that `destroy` closes.
let left = new AbortController();
afterEach(() => {
  left.abort();
  left = new AbortController();
});
after(() => kinesis.destroy());

async function register(StreamARN, ConsumerName = "reader") {
  const { Consumer } = await kinesis.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName }));
  await advance(1);
  return Consumer.ConsumerARN;
}

async function subscribe(ConsumerARN, StartingPosition = { Type: "TRIM_HORIZON" }, ShardId = SHARD) {
  const command = new SubscribeToShardCommand({ ConsumerARN, ShardId, StartingPosition });
  return (await kinesis.send(command, { abortSignal: left.signal })).EventStream[Symbol.asyncIterator]();
}

async function next(events) {
  const { value } = await events.next();
  return value.SubscribeToShardEvent;
}

// That many records' data, from as many events as it takes; and the last of these.
async function take(events, count) {
  const found = [];
  let event;
  while (found.length < count) {
    event = await next(events);
    found.push(...event.Records.map(({ Data }) => text(Data)));
  }
  return [found, event];
}

// All that comes until the subscription ends. To be called before it does: a server that was told that a connection is
// not needed any more, as this client tells it, closes it with the last answer, and Node then gives up what nobody read.
async function untilTheEnd(events) {
  const found = [];
  for (let { done, value } = await events.next(); !done; { done, value } = await events.next()) {
    found.push(value.SubscribeToShardEvent);
  }
  return found;
}

const put = (StreamName, ...data) =>
  kinesis.send(
    new PutRecordsCommand({
      StreamName,
      Records: data.map((each) => ({ Data: bytes(each), PartitionKey: "k" })),
    }),
  );

test("consumers come and go", async () => {
  const StreamARN = await makeStream("consumers");
  const ConsumerARN = await register(StreamARN);
  const { ConsumerDescription } = await kinesis.send(new DescribeStreamConsumerCommand({ ConsumerARN }));
  assert.deepEqual([ConsumerDescription.ConsumerName, ConsumerDescription.ConsumerStatus], ["reader", "ACTIVE"]);
  await register(StreamARN, "second");
  const { Consumers } = await kinesis.send(new ListStreamConsumersCommand({ StreamARN }));
  assert.deepEqual(Consumers.map(({ ConsumerName }) => ConsumerName), ["reader", "second"]);
  await kinesis.send(new DeregisterStreamConsumerCommand({ StreamARN, ConsumerName: "reader" }));
  await advance(1);
  const gone = kinesis.send(new DescribeStreamConsumerCommand({ ConsumerARN }));
  await assert.rejects(gone, ResourceNotFoundException);
});

test("records are pushed as they are written", async () => {
  const StreamName = "pushed";
  const events = await subscribe(await register(await makeStream(StreamName)));
  assert.deepEqual((await next(events)).Records, []);
  for (const round of ["a", "b", "c"]) {
    const sent = await put(StreamName, `${round}1`, `${round}2`);
    const [found, event] = await take(events, 2);
    assert.deepEqual(found, [`${round}1`, `${round}2`]);
    assert.equal(event.MillisBehindLatest, 0);
    assert.ok(BigInt(event.ContinuationSequenceNumber) >= BigInt(sent.Records[1].SequenceNumber));
  }
});

test("a record as it is pushed", async () => {
  const StreamName = "as-it-is";
  const Data = new Uint8Array([0, 255, 30]);
  const ConsumerARN = await register(await makeStream(StreamName));
  const sent = await kinesis.send(new PutRecordCommand({ StreamName, Data, PartitionKey: "ключ 🚀" }));
  const events = await subscribe(ConsumerARN);
  const [record] = (await next(events)).Records;
  assert.deepEqual([...record.Data], [...Data]);
  assert.deepEqual([record.PartitionKey, record.SequenceNumber], ["ключ 🚀", sent.SequenceNumber]);
  assert.ok(record.ApproximateArrivalTimestamp instanceof Date);
});

test("a subscription goes on where the last one ended", async () => {
  const StreamName = "again";
  const ConsumerARN = await register(await makeStream(StreamName));
  await put(StreamName, "0", "1");
  const first = await subscribe(ConsumerARN);
  const [, event] = await take(first, 2);
  await assert.rejects(subscribe(ConsumerARN), ResourceInUseException);
  const ending = untilTheEnd(first);
  await advance(300);
  assert.ok((await ending).every(({ Records }) => Records.length === 0));
  await put(StreamName, "2");
  const SequenceNumber = event.ContinuationSequenceNumber;
  const second = await subscribe(ConsumerARN, { Type: "AFTER_SEQUENCE_NUMBER", SequenceNumber });
  assert.deepEqual((await take(second, 1))[0], ["2"]);
});

test("a second subscription takes over, of which the first is told", async () => {
  const ConsumerARN = await register(await makeStream("taken"));
  const first = await subscribe(ConsumerARN);
  await next(first);
  const told = assert.rejects(untilTheEnd(first), (error) => {
    assert.ok(error instanceof ResourceInUseException, error);
    assert.match(error.message, /^Another active subscription exists/);
    return true;
  });
  await advance(5);
  assert.deepEqual((await next(await subscribe(ConsumerARN))).Records, []);
  await told;
});

test("the end of a shard names its children", async () => {
  const StreamName = "ends";
  const ConsumerARN = await register(await makeStream(StreamName));
  await put(StreamName, "0");
  const events = await subscribe(ConsumerARN);
  const ending = untilTheEnd(events);
  await kinesis.send(new SplitShardCommand({ StreamName, ShardToSplit: SHARD, NewStartingHashKey: HALF }));
  await advance(1);
  const found = await ending;
  assert.deepEqual(found.flatMap(({ Records }) => Records).map(({ Data }) => text(Data)), ["0"]);
  const last = found.at(-1);
  assert.equal(last.ContinuationSequenceNumber, undefined);
  assert.deepEqual(last.ChildShards.map(({ ShardId }) => ShardId.slice(-1)), ["1", "2"]);
  const [child] = last.ChildShards;
  const goingOn = await subscribe(ConsumerARN, { Type: "TRIM_HORIZON" }, child.ShardId);
  await kinesis.send(
    new PutRecordCommand({ StreamName, Data: bytes("1"), PartitionKey: "k", ExplicitHashKey: "0" }),
  );
  assert.deepEqual((await take(goingOn, 1))[0], ["1"]);
});

test("consumers have each their own, while others write", async () => {
  const StreamName = "several";
  const StreamARN = await makeStream(StreamName);
  const subscriptions = [];
  for (const name of ["a", "b", "c"]) subscriptions.push(await subscribe(await register(StreamARN, name)));
  const sent = Array.from({ length: 60 }, (_, index) => `${index}`);
  const writing = (async () => {
    for (const each of sent) await put(StreamName, each);
  })();
  const found = await Promise.all(subscriptions.map(async (events) => (await take(events, sent.length))[0]));
  await writing;
  for (const each of found) assert.deepEqual(each, sent);
});

test("large records are pushed whole", async () => {
  const StreamName = "large-pushed";
  const ConsumerARN = await register(await makeStream(StreamName));
  const events = await subscribe(ConsumerARN);
  await next(events);
  const Data = new Uint8Array(1024 * 1024 - 1).map((_, index) => index % 251);
  for (let count = 0; count < 4; count += 1) {
    await kinesis.send(new PutRecordCommand({ StreamName, Data, PartitionKey: "k" }));
    let event = await next(events);
    while (event.Records.length === 0) event = await next(events);
    assert.ok(Buffer.from(event.Records[0].Data).equals(Buffer.from(Data)));
    await advance(1);
  }
});

test("what cannot be subscribed to", async () => {
  const StreamARN = await makeStream("refused");
  const ConsumerARN = await register(StreamARN);
  await assert.rejects(subscribe(`${StreamARN}/consumer/none:1`), ResourceNotFoundException);
  await assert.rejects(subscribe(ConsumerARN, undefined, "shardId-000000000009"), (error) => {
    assert.equal(error.name, "ResourceNotFoundException");
    assert.equal(error.$metadata.httpStatusCode, 400);
    return true;
  });
  const events = await subscribe(ConsumerARN);
  await next(events);
  const told = assert.rejects(untilTheEnd(events), ResourceNotFoundException);
  await kinesis.send(new DeregisterStreamConsumerCommand({ ConsumerARN }));
  await told;
});
