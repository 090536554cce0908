package v2

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

const firstShard = "shardId-000000000000"

var trimHorizon = &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}

// streams is a client that speaks HTTP/1.1, or HTTP/2 with prior knowledge.
func streams(http2 bool) *kinesis.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	return kinesis.New(kinesis.Options{
		BaseEndpoint:     aws.String(os.Getenv("HEADRACE_ENDPOINT")),
		Region:           "us-east-1",
		Credentials:      credentials.NewStaticCredentialsProvider("headrace", "headrace", ""),
		RetryMaxAttempts: 1,
		HTTPClient:       &http.Client{Transport: &http.Transport{Protocols: protocols}},
	})
}

// makeStream makes a stream and waits until it is ACTIVE; its ARN.
func makeStream(t *testing.T, client *kinesis.Client, name string) *string {
	t.Helper()
	input := &kinesis.CreateStreamInput{StreamName: aws.String(name), ShardCount: aws.Int32(1)}
	must[*kinesis.CreateStreamOutput](t)(client.CreateStream(ctx, input))
	return active(t, client, name).StreamARN
}

func active(t *testing.T, client *kinesis.Client, name string) *types.StreamDescriptionSummary {
	t.Helper()
	for {
		input := &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(name)}
		found := must[*kinesis.DescribeStreamSummaryOutput](t)(client.DescribeStreamSummary(ctx, input))
		if found.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return found.StreamDescriptionSummary
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func register(t *testing.T, client *kinesis.Client, stream *string) *string {
	t.Helper()
	input := &kinesis.RegisterStreamConsumerInput{StreamARN: stream, ConsumerName: aws.String("reader")}
	arn := must[*kinesis.RegisterStreamConsumerOutput](t)(client.RegisterStreamConsumer(ctx, input)).Consumer.ConsumerARN
	for {
		input := &kinesis.DescribeStreamConsumerInput{ConsumerARN: arn}
		found := must[*kinesis.DescribeStreamConsumerOutput](t)(client.DescribeStreamConsumer(ctx, input))
		if found.ConsumerDescription.ConsumerStatus == types.ConsumerStatusActive {
			return arn
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func subscribe(
	t *testing.T, client *kinesis.Client, consumer *string, from *types.StartingPosition,
) *kinesis.SubscribeToShardEventStream {
	t.Helper()
	input := &kinesis.SubscribeToShardInput{
		ConsumerARN: consumer, ShardId: aws.String(firstShard), StartingPosition: from,
	}
	stream := must[*kinesis.SubscribeToShardOutput](t)(client.SubscribeToShard(ctx, input)).GetStream()
	t.Cleanup(func() { stream.Close() })
	return stream
}

// take reads events until they brought that many records; these records' data, and the last event.
func take(
	t *testing.T, stream *kinesis.SubscribeToShardEventStream, count int,
) ([]string, types.SubscribeToShardEvent) {
	t.Helper()
	var found []string
	var last types.SubscribeToShardEvent
	for len(found) < count {
		event, more := <-stream.Events()
		if !more {
			t.Fatalf("the events ended with %v after %v", stream.Err(), found)
		}
		last = event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
		for _, record := range last.Records {
			found = append(found, string(record.Data))
		}
	}
	return found, last
}

func put(t *testing.T, client *kinesis.Client, stream *string, bodies ...string) {
	t.Helper()
	var records []types.PutRecordsRequestEntry
	for _, body := range bodies {
		records = append(records, types.PutRecordsRequestEntry{Data: []byte(body), PartitionKey: aws.String("k")})
	}
	input := &kinesis.PutRecordsInput{StreamARN: stream, Records: records}
	if answer := must[*kinesis.PutRecordsOutput](t)(client.PutRecords(ctx, input)); *answer.FailedRecordCount != 0 {
		t.Fatalf("failed: %v", answer.Records)
	}
}

func overBoth(t *testing.T, test func(t *testing.T, client *kinesis.Client, name string)) {
	for _, http2 := range []bool{false, true} {
		name := map[bool]string{false: "http1", true: "http2"}[http2]
		t.Run(name, func(t *testing.T) {
			test(t, streams(http2), strings.ReplaceAll(t.Name(), "/", "-"))
		})
	}
}

func TestRecordsMakeTheRound(t *testing.T) {
	overBoth(t, func(t *testing.T, client *kinesis.Client, name string) {
		stream := makeStream(t, client, name)
		sent := must[*kinesis.PutRecordOutput](t)(client.PutRecord(ctx, &kinesis.PutRecordInput{
			StreamARN: stream, Data: []byte{0, 255, 30}, PartitionKey: aws.String("ключ 🚀"),
		}))
		iterator := must[*kinesis.GetShardIteratorOutput](t)(client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
			StreamARN: stream, ShardId: aws.String(firstShard), ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		}))
		answer := must[*kinesis.GetRecordsOutput](t)(client.GetRecords(ctx, &kinesis.GetRecordsInput{
			ShardIterator: iterator.ShardIterator,
		}))
		if len(answer.Records) != 1 || *answer.MillisBehindLatest != 0 || answer.NextShardIterator == nil {
			t.Fatalf("answered %v", answer)
		}
		record := answer.Records[0]
		if string(record.Data) != "\x00\xff\x1e" || *record.PartitionKey != "ключ 🚀" {
			t.Fatalf("record %v", record)
		}
		if *record.SequenceNumber != *sent.SequenceNumber || time.Since(*record.ApproximateArrivalTimestamp) > time.Hour {
			t.Fatalf("record %v", record)
		}
	})
}

func TestShards(t *testing.T) {
	overBoth(t, func(t *testing.T, client *kinesis.Client, name string) {
		stream := makeStream(t, client, name)
		half := new(big.Int).Lsh(big.NewInt(1), 127).String()
		must[*kinesis.SplitShardOutput](t)(client.SplitShard(ctx, &kinesis.SplitShardInput{
			StreamARN: stream, ShardToSplit: aws.String(firstShard), NewStartingHashKey: aws.String(half),
		}))
		if open := *active(t, client, name).OpenShardCount; open != 2 {
			t.Fatalf("%d open shards", open)
		}
		shards := must[*kinesis.ListShardsOutput](t)(client.ListShards(ctx, &kinesis.ListShardsInput{
			StreamARN: stream, ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest},
		})).Shards
		if len(shards) != 2 || *shards[1].HashKeyRange.StartingHashKey != half || *shards[0].ParentShardId != firstShard {
			t.Fatalf("shards %v", shards)
		}
	})
}

func TestStreamPages(t *testing.T) {
	client := streams(true)
	for number := range 3 {
		makeStream(t, client, fmt.Sprintf("zz-go-page-%d", number))
	}
	input := &kinesis.ListStreamsInput{Limit: aws.Int32(2), ExclusiveStartStreamName: aws.String("zz-go")}
	pages, found := 0, 0
	for paginator := kinesis.NewListStreamsPaginator(client, input); paginator.HasMorePages(); pages++ {
		found += len(must[*kinesis.ListStreamsOutput](t)(paginator.NextPage(ctx)).StreamNames)
	}
	if pages != 2 || found != 3 {
		t.Fatalf("%d streams in %d pages", found, pages)
	}
}

func TestSubscription(t *testing.T) {
	overBoth(t, func(t *testing.T, client *kinesis.Client, name string) {
		stream := makeStream(t, client, name)
		consumer := register(t, client, stream)
		put(t, client, stream, "0", "1")
		events := subscribe(t, client, consumer, trimHorizon)
		if found, _ := take(t, events, 2); !slices.Equal(found, []string{"0", "1"}) {
			t.Fatalf("found %v", found)
		}
		for number := range 5 {
			put(t, client, stream, fmt.Sprint(number))
			if found, event := take(t, events, 1); found[0] != fmt.Sprint(number) || *event.MillisBehindLatest != 0 {
				t.Fatalf("found %v in %v", found, event)
			}
		}
		input := &kinesis.SubscribeToShardInput{
			ConsumerARN: consumer, ShardId: aws.String(firstShard), StartingPosition: trimHorizon,
		}
		var used *types.ResourceInUseException
		if _, err := client.SubscribeToShard(ctx, input); !errors.As(err, &used) {
			t.Fatalf("error %v", err)
		}
	})
}

func TestTheEndOfAShard(t *testing.T) {
	overBoth(t, func(t *testing.T, client *kinesis.Client, name string) {
		stream := makeStream(t, client, name)
		events := subscribe(t, client, register(t, client, stream), trimHorizon)
		put(t, client, stream, "0")
		take(t, events, 1)
		must[*kinesis.UpdateShardCountOutput](t)(client.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{
			StreamARN: stream, TargetShardCount: aws.Int32(2), ScalingType: types.ScalingTypeUniformScaling,
		}))
		var last types.SubscribeToShardEvent
		for event := range events.Events() {
			last = event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
		}
		if err := events.Err(); err != nil || len(last.ChildShards) != 2 {
			t.Fatalf("error %v, last event %v", err, last)
		}
	})
}

func TestErrorsOfStreams(t *testing.T) {
	overBoth(t, func(t *testing.T, client *kinesis.Client, name string) {
		_, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("nowhere")})
		var absent *types.ResourceNotFoundException
		if !errors.As(err, &absent) || absent.ErrorMessage() != "Stream nowhere under account 000000000000 not found." {
			t.Fatalf("error %v", err)
		}
		_, err = client.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: aws.String("garbage")})
		var refused smithy.APIError
		if !errors.As(err, &refused) || refused.ErrorCode() != "InvalidArgumentException" {
			t.Fatalf("error %v", err)
		}
		stream := makeStream(t, client, name)
		consumer := register(t, client, stream)
		events := subscribe(t, client, consumer, trimHorizon)
		<-events.Events()
		input := &kinesis.DeregisterStreamConsumerInput{ConsumerARN: consumer}
		must[*kinesis.DeregisterStreamConsumerOutput](t)(client.DeregisterStreamConsumer(ctx, input))
		for range events.Events() {
		}
		if !errors.As(events.Err(), &absent) {
			t.Fatalf("the events ended with %v", events.Err())
		}
	})
}
