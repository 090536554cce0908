// The AWS SDK for JavaScript against a running Headrace: streams, shards and records.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  AddTagsToStreamCommand,
  CreateStreamCommand,
  DecreaseStreamRetentionPeriodCommand,
  DeleteResourcePolicyCommand,
  DeleteStreamCommand,
  DescribeAccountSettingsCommand,
  DescribeLimitsCommand,
  DescribeStreamCommand,
  DisableEnhancedMonitoringCommand,
  EnableEnhancedMonitoringCommand,
  ExpiredIteratorException,
  GetRecordsCommand,
  GetResourcePolicyCommand,
  IncreaseStreamRetentionPeriodCommand,
  InvalidArgumentException,
  ListChannelsCommand,
  ListShardsCommand,
  ListTagsForResourceCommand,
  ListTagsForStreamCommand,
  MergeShardsCommand,
  paginateListStreams,
  PutRecordCommand,
  PutRecordsCommand,
  PutResourcePolicyCommand,
  RemoveTagsFromStreamCommand,
  ResourceInUseException,
  ResourceNotFoundException,
  SplitShardCommand,
  StartStreamEncryptionCommand,
  StopStreamEncryptionCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateAccountSettingsCommand,
  UpdateMaxRecordSizeCommand,
  UpdateShardCountCommand,
  UpdateStreamModeCommand,
  UpdateStreamRecordDistributionStrategyCommand,
  UpdateStreamWarmThroughputCommand,
  ValidationException,
  waitUntilStreamExists,
  waitUntilStreamNotExists,
} from "@aws-sdk/client-kinesis";
import { advance, bytes, HALF, iterate, kinesis, makeStream, read, SHARD, summary, text } from "./kinesis-client.js";

after(() => kinesis.destroy());

const shardsOf = async (input) => (await kinesis.send(new ListShardsCommand(input))).Shards;

test("a stream comes and goes", async () => {
  await kinesis.send(new CreateStreamCommand({ StreamName: "life", ShardCount: 2, Tags: { team: "web" } }));
  const waiter = { client: kinesis, maxWaitTime: 30, minDelay: 1, maxDelay: 1 };
  await advance(1);
  assert.equal((await waitUntilStreamExists(waiter, { StreamName: "life" })).state, "SUCCESS");
  const { StreamDescription } = await kinesis.send(new DescribeStreamCommand({ StreamName: "life" }));
  assert.equal(StreamDescription.StreamARN, "arn:aws:kinesis:us-east-1:000000000000:stream/life");
  assert.equal(StreamDescription.Shards.length, 2);
  assert.ok(StreamDescription.StreamCreationTimestamp instanceof Date);
  await kinesis.send(new DeleteStreamCommand({ StreamARN: StreamDescription.StreamARN }));
  await advance(1);
  assert.equal((await waitUntilStreamNotExists(waiter, { StreamName: "life" })).state, "SUCCESS");
});

test("a record makes the round", async () => {
  await makeStream("round");
  const Data = new Uint8Array([0, 255, 30]);
  const put = await kinesis.send(new PutRecordCommand({ StreamName: "round", Data, PartitionKey: "ключ 🚀" }));
  assert.equal(put.ShardId, SHARD);
  const answer = await read("round");
  assert.equal(answer.MillisBehindLatest, 0);
  const [record] = answer.Records;
  assert.deepEqual([...record.Data], [...Data]);
  assert.deepEqual([record.PartitionKey, record.SequenceNumber], ["ключ 🚀", put.SequenceNumber]);
  assert.ok(record.ApproximateArrivalTimestamp instanceof Date);
});

test("a batch of 500 is read in its order", async () => {
  await makeStream("batch");
  const Records = Array.from({ length: 500 }, (_, index) => ({ Data: bytes(`${index}`), PartitionKey: `${index % 7}` }));
  const put = await kinesis.send(new PutRecordsCommand({ StreamName: "batch", Records }));
  assert.equal(put.FailedRecordCount, 0);
  const answer = await read("batch");
  assert.deepEqual(answer.Records.map(({ Data }) => Number(text(Data))), Array.from({ length: 500 }, (_, i) => i));
  assert.deepEqual(answer.Records.map((record) => record.SequenceNumber), put.Records.map((r) => r.SequenceNumber));
});

test("large records come whole", async () => {
  await makeStream("large");
  const Data = new Uint8Array(1024 * 1024 - 1).map((_, index) => index % 251);
  for (let count = 0; count < 3; count += 1) {
    await kinesis.send(new PutRecordCommand({ StreamName: "large", Data, PartitionKey: "k" }));
    await advance(1);
  }
  const { Records } = await read("large");
  assert.equal(Records.length, 3);
  for (const record of Records) assert.ok(Buffer.from(record.Data).equals(Buffer.from(Data)));
});

test("too many records for a shard's second fail one by one", async () => {
  await makeStream("limited");
  const Records = Array.from({ length: 3 }, () => ({ Data: new Uint8Array(500_000), PartitionKey: "k" }));
  const put = await kinesis.send(new PutRecordsCommand({ StreamName: "limited", Records }));
  assert.ok(put.FailedRecordCount > 0);
  const failed = put.Records.find((record) => record.ErrorCode);
  assert.equal(failed.ErrorCode, "ProvisionedThroughputExceededException");
  assert.match(failed.ErrorMessage, /^Rate exceeded for shard shardId-000000000000/);
});

test("iterators of every type", async () => {
  await makeStream("places");
  const numbers = [];
  const times = [];
  for (const data of ["0", "1", "2"]) {
    const put = await kinesis.send(
      new PutRecordCommand({ StreamName: "places", Data: bytes(data), PartitionKey: "k" }),
    );
    numbers.push(put.SequenceNumber);
    const { Records } = await read("places", SHARD, {
      ShardIteratorType: "AT_SEQUENCE_NUMBER",
      StartingSequenceNumber: put.SequenceNumber,
    });
    times.push(Records[0].ApproximateArrivalTimestamp);
    await advance(10);
  }
  const from = async (position) => (await read("places", SHARD, position)).Records.map(({ Data }) => text(Data));
  const after1 = { ShardIteratorType: "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber: numbers[1] };
  assert.deepEqual(await from({ ShardIteratorType: "TRIM_HORIZON" }), ["0", "1", "2"]);
  assert.deepEqual(await from({ ShardIteratorType: "LATEST" }), []);
  assert.deepEqual(await from(after1), ["2"]);
  assert.deepEqual(await from({ ShardIteratorType: "AT_TIMESTAMP", Timestamp: times[1] }), ["1", "2"]);
});

test("shards are split, merged and counted", async () => {
  await makeStream("shards");
  const StreamName = "shards";
  await kinesis.send(new SplitShardCommand({ StreamName, ShardToSplit: SHARD, NewStartingHashKey: HALF }));
  await advance(1);
  assert.deepEqual((await read(StreamName)).ChildShards.map(({ ShardId }) => ShardId.slice(-1)), ["1", "2"]);
  const [ShardToMerge, AdjacentShardToMerge] = ["shardId-000000000001", "shardId-000000000002"];
  await kinesis.send(new MergeShardsCommand({ StreamName, ShardToMerge, AdjacentShardToMerge }));
  await advance(1);
  const scaling = { StreamName, TargetShardCount: 2, ScalingType: "UNIFORM_SCALING" };
  assert.equal((await kinesis.send(new UpdateShardCountCommand(scaling))).CurrentShardCount, 1);
  await advance(1);
  assert.equal((await shardsOf({ StreamName })).length, 6);
  const latest = await shardsOf({ StreamName, ShardFilter: { Type: "AT_LATEST" } });
  assert.deepEqual(latest.map((shard) => shard.HashKeyRange.StartingHashKey), ["0", HALF]);
  const page = await kinesis.send(new ListShardsCommand({ StreamName, MaxResults: 4 }));
  const rest = await kinesis.send(new ListShardsCommand({ NextToken: page.NextToken }));
  assert.deepEqual([page.Shards.length, rest.Shards.length, rest.NextToken], [4, 2, undefined]);
});

test("settings of a stream", async () => {
  const StreamName = "settings";
  const StreamARN = await makeStream(StreamName);
  await kinesis.send(new IncreaseStreamRetentionPeriodCommand({ StreamName, RetentionPeriodHours: 168 }));
  await advance(1);
  await kinesis.send(new DecreaseStreamRetentionPeriodCommand({ StreamARN, RetentionPeriodHours: 48 }));
  await advance(1);
  await kinesis.send(new UpdateMaxRecordSizeCommand({ StreamARN, MaxRecordSizeInKiB: 2048 }));
  await advance(1);
  const key = { StreamName, EncryptionType: "KMS", KeyId: "alias/aws/kinesis" };
  await kinesis.send(new StartStreamEncryptionCommand(key));
  await advance(1);
  const metrics = { StreamName, ShardLevelMetrics: ["IncomingBytes", "OutgoingBytes"] };
  const enabled = await kinesis.send(new EnableEnhancedMonitoringCommand(metrics));
  assert.deepEqual(enabled.DesiredShardLevelMetrics.sort(), ["IncomingBytes", "OutgoingBytes"]);
  await advance(1);
  const found = await summary(StreamName);
  assert.deepEqual(
    [found.RetentionPeriodHours, found.MaxRecordSizeInKiB, found.EncryptionType, found.KeyId],
    [48, 2048, "KMS", "alias/aws/kinesis"],
  );
  await kinesis.send(new DisableEnhancedMonitoringCommand({ StreamARN, ShardLevelMetrics: ["ALL"] }));
  await advance(1);
  await kinesis.send(new StopStreamEncryptionCommand(key));
  await advance(1);
  assert.equal((await summary(StreamName)).EncryptionType, "NONE");
});

test("capacity modes", async () => {
  const StreamARN = await makeStream("modes", 0);
  await kinesis.send(
    new UpdateStreamRecordDistributionStrategyCommand({ StreamARN, RecordDistributionStrategy: "AUTO" }),
  );
  assert.equal((await summary("modes")).RecordDistributionStrategy, "AUTO");
  const MinimumThroughputBillingCommitment = { Status: "ENABLED" };
  await kinesis.send(new UpdateAccountSettingsCommand({ MinimumThroughputBillingCommitment }));
  const settings = await kinesis.send(new DescribeAccountSettingsCommand({}));
  assert.equal(settings.MinimumThroughputBillingCommitment.Status, "ENABLED");
  assert.ok(settings.MinimumThroughputBillingCommitment.StartedAt instanceof Date);
  await kinesis.send(new UpdateStreamWarmThroughputCommand({ StreamARN, WarmThroughputMiBps: 8 }));
  await advance(1);
  assert.equal((await summary("modes")).WarmThroughput.CurrentMiBps, 8);
  const StreamModeDetails = { StreamMode: "PROVISIONED" };
  await kinesis.send(new UpdateStreamModeCommand({ StreamARN, StreamModeDetails }));
  await advance(1);
  assert.deepEqual((await summary("modes")).StreamModeDetails, StreamModeDetails);
  const limits = await kinesis.send(new DescribeLimitsCommand({}));
  assert.ok(limits.OpenShardCount >= 8 && limits.ShardLimit >= limits.OpenShardCount);
});

test("tags and policies", async () => {
  const StreamName = "tagged";
  const ResourceARN = await makeStream(StreamName);
  await kinesis.send(new AddTagsToStreamCommand({ StreamName, Tags: { a: "1", b: "2" } }));
  await kinesis.send(new TagResourceCommand({ ResourceARN, Tags: { c: "3" } }));
  await kinesis.send(new RemoveTagsFromStreamCommand({ StreamName, TagKeys: ["a"] }));
  await kinesis.send(new UntagResourceCommand({ ResourceARN, TagKeys: ["b"] }));
  const expected = [{ Key: "c", Value: "3" }];
  assert.deepEqual((await kinesis.send(new ListTagsForStreamCommand({ StreamName }))).Tags, expected);
  assert.deepEqual((await kinesis.send(new ListTagsForResourceCommand({ ResourceARN }))).Tags, expected);
  const statement = { Effect: "Allow", Principal: "*", Action: "kinesis:PutRecord", Resource: ResourceARN };
  const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
  await kinesis.send(new PutResourcePolicyCommand({ ResourceARN, Policy }));
  assert.equal((await kinesis.send(new GetResourcePolicyCommand({ ResourceARN }))).Policy, Policy);
  await kinesis.send(new DeleteResourcePolicyCommand({ ResourceARN }));
  await assert.rejects(kinesis.send(new GetResourcePolicyCommand({ ResourceARN })), ResourceNotFoundException);
});

test("streams are listed in pages", async () => {
  for (const name of ["zz-1", "zz-2", "zz-3"]) await makeStream(name);
  const found = [];
  const pages = paginateListStreams({ client: kinesis, pageSize: 2 }, { ExclusiveStartStreamName: "zz" });
  for await (const page of pages) found.push(page.StreamNames);
  assert.deepEqual(found, [["zz-1", "zz-2"], ["zz-3"]]);
});

test("many calls at once", async () => {
  await makeStream("crowd", 4);
  const calls = Array.from({ length: 200 }, (_, index) =>
    kinesis.send(new PutRecordCommand({ StreamName: "crowd", Data: bytes(`${index}`), PartitionKey: `${index}` })),
  );
  const places = new Set((await Promise.all(calls)).map(({ ShardId, SequenceNumber }) => ShardId + SequenceNumber));
  assert.equal(places.size, 200);
});

test("errors have their classes, codes and texts", async () => {
  await makeStream("errors");
  const rejects = async (command, type, message) =>
    assert.rejects(kinesis.send(command), (error) => {
      assert.ok(error instanceof type, error);
      assert.deepEqual([error.$metadata.httpStatusCode, error.$fault], [400, "client"]);
      assert.match(error.message, message);
      return true;
    });
  await rejects(
    new DescribeStreamCommand({ StreamName: "nowhere" }),
    ResourceNotFoundException,
    /^Stream nowhere under account 000000000000 not found\.$/,
  );
  await rejects(
    new CreateStreamCommand({ StreamName: "errors", ShardCount: 1 }),
    ResourceInUseException,
    /^Stream errors under account 000000000000 already exists\.$/,
  );
  await rejects(
    new CreateStreamCommand({ StreamName: "not a name", ShardCount: 1 }),
    ValidationException,
    /^1 validation error detected: Value 'not a name' at 'streamName'/,
  );
  await rejects(new GetRecordsCommand({ ShardIterator: "garbage" }), InvalidArgumentException, /iterator/i);
  const ShardIterator = await iterate("errors");
  await advance(301);
  await rejects(new GetRecordsCommand({ ShardIterator }), ExpiredIteratorException, /^Iterator expired\./);
  await assert.rejects(kinesis.send(new ListChannelsCommand({})), { name: "UnsupportedOperationException" });
});
