// Package v2 drives Headrace with the AWS SDK for Go v2, which speaks AWS JSON and checks message digests itself.
package v2

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

var ctx = context.Background()

func client() *sqs.Client {
	return sqs.New(sqs.Options{
		BaseEndpoint:     aws.String(os.Getenv("HEADRACE_ENDPOINT")),
		Region:           "us-east-1",
		Credentials:      credentials.NewStaticCredentialsProvider("headrace", "headrace", ""),
		RetryMaxAttempts: 1,
	})
}

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func create(t *testing.T, name string, attributes map[string]string) *string {
	t.Helper()
	input := &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attributes}
	return must[*sqs.CreateQueueOutput](t)(client().CreateQueue(ctx, input)).QueueUrl
}

func receive(t *testing.T, url *string) []types.Message {
	t.Helper()
	input := &sqs.ReceiveMessageInput{
		QueueUrl: url, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	}
	return must[*sqs.ReceiveMessageOutput](t)(client().ReceiveMessage(ctx, input)).Messages
}

func TestMessageMakesTheRound(t *testing.T) {
	url := create(t, "go-v2", nil)
	attributes := map[string]types.MessageAttributeValue{
		"text":  {DataType: aws.String("String"), StringValue: aws.String("Grüße <&>")},
		"bytes": {DataType: aws.String("Binary"), BinaryValue: []byte{0, 255, 30}},
	}
	input := &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("Grüße\r\n🚀"), MessageAttributes: attributes}
	sent := must[*sqs.SendMessageOutput](t)(client().SendMessage(ctx, input))
	messages := receive(t, url)
	if len(messages) != 1 || *messages[0].MessageId != *sent.MessageId || *messages[0].Body != "Grüße\r\n🚀" {
		t.Fatalf("received %v", messages)
	}
	if *messages[0].MD5OfMessageAttributes != *sent.MD5OfMessageAttributes {
		t.Fatal("digests differ")
	}
	if string(messages[0].MessageAttributes["bytes"].BinaryValue) != "\x00\xff\x1e" {
		t.Fatal("bytes differ")
	}
	if messages[0].Attributes["ApproximateReceiveCount"] != "1" {
		t.Fatalf("attributes %v", messages[0].Attributes)
	}
	must[*sqs.DeleteMessageOutput](t)(client().DeleteMessage(ctx, &sqs.DeleteMessageInput{
		QueueUrl: url, ReceiptHandle: messages[0].ReceiptHandle,
	}))
	if again := receive(t, url); len(again) != 0 {
		t.Fatalf("received again: %v", again)
	}
}

func TestBatches(t *testing.T) {
	url := create(t, "go-v2-batches", nil)
	var entries []types.SendMessageBatchRequestEntry
	for number := range 10 {
		id := aws.String(fmt.Sprint(number))
		entries = append(entries, types.SendMessageBatchRequestEntry{Id: id, MessageBody: id})
	}
	entries[9].DelaySeconds = 901
	input := &sqs.SendMessageBatchInput{QueueUrl: url, Entries: entries}
	sent := must[*sqs.SendMessageBatchOutput](t)(client().SendMessageBatch(ctx, input))
	if len(sent.Successful) != 9 || len(sent.Failed) != 1 || *sent.Failed[0].Code != "InvalidParameterValue" {
		t.Fatalf("sent %v, failed %v", sent.Successful, sent.Failed)
	}
	var deletions []types.DeleteMessageBatchRequestEntry
	for _, message := range receive(t, url) {
		deletions = append(deletions, types.DeleteMessageBatchRequestEntry{
			Id: message.Body, ReceiptHandle: message.ReceiptHandle,
		})
	}
	deleted := must[*sqs.DeleteMessageBatchOutput](t)(client().DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{
		QueueUrl: url, Entries: deletions,
	}))
	if len(deleted.Successful) != 9 || len(deleted.Failed) != 0 {
		t.Fatalf("deleted %v, failed %v", deleted.Successful, deleted.Failed)
	}
}

func TestFifo(t *testing.T) {
	url := create(t, "go-v2.fifo", map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
	var numbers []string
	for _, body := range []string{"1", "2", "1"} {
		sent := must[*sqs.SendMessageOutput](t)(client().SendMessage(ctx, &sqs.SendMessageInput{
			QueueUrl: url, MessageBody: aws.String(body), MessageGroupId: aws.String("g"),
		}))
		numbers = append(numbers, *sent.SequenceNumber)
	}
	if numbers[0] != numbers[2] || !sort.StringsAreSorted(numbers[:2]) || len(numbers[0]) != 20 {
		t.Fatalf("sequence numbers %v", numbers)
	}
	messages := receive(t, url)
	if len(messages) != 2 || *messages[0].Body != "1" || *messages[1].Body != "2" {
		t.Fatalf("received %v", messages)
	}
}

func TestPages(t *testing.T) {
	for number := range 3 {
		create(t, fmt.Sprintf("go-v2-page-%d", number), nil)
	}
	input := &sqs.ListQueuesInput{QueueNamePrefix: aws.String("go-v2-page-"), MaxResults: aws.Int32(2)}
	pages, found := 0, 0
	for paginator := sqs.NewListQueuesPaginator(client(), input); paginator.HasMorePages(); pages++ {
		found += len(must[*sqs.ListQueuesOutput](t)(paginator.NextPage(ctx)).QueueUrls)
	}
	if pages != 2 || found != 3 {
		t.Fatalf("%d queues in %d pages", found, pages)
	}
}

func TestErrors(t *testing.T) {
	_, err := client().GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("nowhere")})
	var absent *types.QueueDoesNotExist
	if !errors.As(err, &absent) || absent.ErrorCode() != "AWS.SimpleQueueService.NonExistentQueue" {
		t.Fatalf("error %v", err)
	}
	url := create(t, "go-v2-errors", nil)
	_, err = client().ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: 11})
	var refused smithy.APIError
	if !errors.As(err, &refused) || refused.ErrorCode() != "InvalidParameterValue" {
		t.Fatalf("error %v", err)
	}
}
