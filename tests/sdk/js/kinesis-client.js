// A client for Kinesis by the handler that HEADRACE_HANDLER names, and what the tests of Kinesis do often.
//
// "http2" is the client's own handler: HTTP/2 with prior knowledge to http://, agreed on by ALPN to https://.

import {
  CreateStreamCommand,
  DescribeStreamSummaryCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
} from "@aws-sdk/client-kinesis";
import { NodeHttpHandler } from "@smithy/node-http-handler";

export const endpoint = process.env.HEADRACE_ENDPOINT;
export const SHARD = "shardId-000000000000";
export const HALF = (2n ** 127n).toString();

export const kinesis = new KinesisClient({
  endpoint,
  region: "us-east-1",
  credentials: { accessKeyId: "headrace", secretAccessKey: "headrace" },
  maxAttempts: 1,
  ...(process.env.HEADRACE_HANDLER === "http1" ? { requestHandler: new NodeHttpHandler() } : {}),
});

// Move the server's clock on.
export async function advance(seconds) {
  const body = JSON.stringify({ advance_s: seconds });
  const answer = await fetch(`${endpoint}/_headrace/clock`, { method: "POST", body });
  if (!answer.ok) throw new Error(await answer.text());
}

export async function summary(StreamName) {
  return (await kinesis.send(new DescribeStreamSummaryCommand({ StreamName }))).StreamDescriptionSummary;
}

// A stream that is ACTIVE, on-demand where no shards are given; its ARN.
export async function makeStream(StreamName, ShardCount = 1) {
  const mode = ShardCount ? { ShardCount } : { StreamModeDetails: { StreamMode: "ON_DEMAND" } };
  await kinesis.send(new CreateStreamCommand({ StreamName, ...mode }));
  await advance(1);
  return (await summary(StreamName)).StreamARN;
}

export async function iterate(StreamName, ShardId = SHARD, position = { ShardIteratorType: "TRIM_HORIZON" }) {
  return (await kinesis.send(new GetShardIteratorCommand({ StreamName, ShardId, ...position }))).ShardIterator;
}

export async function read(StreamName, ShardId, position) {
  const ShardIterator = await iterate(StreamName, ShardId, position);
  return kinesis.send(new GetRecordsCommand({ ShardIterator }));
}

export const bytes = (text) => new TextEncoder().encode(text);
export const text = (data) => new TextDecoder().decode(data);
