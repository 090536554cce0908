// Package v1 drives Headrace with the AWS SDK for Go v1 of the time when it spoke AWS Query to SQS: it posts to the
// queue's own URL and checks message digests itself.
package v1

import (
	"fmt"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/sqs"
)

func client(t *testing.T) *sqs.SQS {
	t.Helper()
	config := aws.NewConfig().
		WithEndpoint(os.Getenv("HEADRACE_ENDPOINT")).
		WithRegion("us-east-1").
		WithMaxRetries(0).
		WithCredentials(credentials.NewStaticCredentials("headrace", "headrace", ""))
	opened, err := session.NewSession(config)
	check(t, err)
	return sqs.New(opened)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, name string, attributes map[string]string) *string {
	t.Helper()
	input := &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: aws.StringMap(attributes)}
	created, err := client(t).CreateQueue(input)
	check(t, err)
	return created.QueueUrl
}

func receive(t *testing.T, url *string) []*sqs.Message {
	t.Helper()
	found, err := client(t).ReceiveMessage(&sqs.ReceiveMessageInput{
		QueueUrl: url, MaxNumberOfMessages: aws.Int64(10),
		AttributeNames: aws.StringSlice([]string{"All"}), MessageAttributeNames: aws.StringSlice([]string{"All"}),
	})
	check(t, err)
	return found.Messages
}

func TestMessageMakesTheRound(t *testing.T) {
	url := create(t, "go-v1", map[string]string{"VisibilityTimeout": "45"})
	sent, err := client(t).SendMessage(&sqs.SendMessageInput{
		QueueUrl: url, MessageBody: aws.String("Grüße & <more>\r\n🚀"),
		MessageAttributes: map[string]*sqs.MessageAttributeValue{
			"text":  {DataType: aws.String("String"), StringValue: aws.String("a=b&c")},
			"bytes": {DataType: aws.String("Binary"), BinaryValue: []byte{0, 255, 30}},
		},
	})
	check(t, err)
	messages := receive(t, url)
	if len(messages) != 1 || *messages[0].MessageId != *sent.MessageId || *messages[0].Body != "Grüße & <more>\r\n🚀" {
		t.Fatalf("received %v", messages)
	}
	if string(messages[0].MessageAttributes["bytes"].BinaryValue) != "\x00\xff\x1e" {
		t.Fatal("bytes differ")
	}
	if *messages[0].Attributes["ApproximateReceiveCount"] != "1" {
		t.Fatalf("attributes %v", messages[0].Attributes)
	}
	_, err = client(t).DeleteMessage(&sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: messages[0].ReceiptHandle})
	check(t, err)
	if again := receive(t, url); len(again) != 0 {
		t.Fatalf("received again: %v", again)
	}
}

func TestBatches(t *testing.T) {
	url := create(t, "go-v1-batches", nil)
	var entries []*sqs.SendMessageBatchRequestEntry
	for number := 0; number < 10; number++ {
		id := aws.String(fmt.Sprint(number))
		entries = append(entries, &sqs.SendMessageBatchRequestEntry{Id: id, MessageBody: id})
	}
	entries[9].DelaySeconds = aws.Int64(901)
	sent, err := client(t).SendMessageBatch(&sqs.SendMessageBatchInput{QueueUrl: url, Entries: entries})
	check(t, err)
	if len(sent.Successful) != 9 || len(sent.Failed) != 1 || !*sent.Failed[0].SenderFault {
		t.Fatalf("sent %v, failed %v", sent.Successful, sent.Failed)
	}
	var deletions []*sqs.DeleteMessageBatchRequestEntry
	for _, message := range receive(t, url) {
		deletions = append(deletions, &sqs.DeleteMessageBatchRequestEntry{
			Id: message.Body, ReceiptHandle: message.ReceiptHandle,
		})
	}
	deleted, err := client(t).DeleteMessageBatch(&sqs.DeleteMessageBatchInput{QueueUrl: url, Entries: deletions})
	check(t, err)
	if len(deleted.Successful) != 9 || len(deleted.Failed) != 0 {
		t.Fatalf("deleted %v, failed %v", deleted.Successful, deleted.Failed)
	}
}

func TestFifo(t *testing.T) {
	url := create(t, "go-v1.fifo", map[string]string{"FifoQueue": "true"})
	for _, id := range []string{"1", "2", "1"} {
		_, err := client(t).SendMessage(&sqs.SendMessageInput{
			QueueUrl: url, MessageBody: aws.String("body " + id),
			MessageGroupId: aws.String("g"), MessageDeduplicationId: aws.String(id),
		})
		check(t, err)
	}
	messages := receive(t, url)
	if len(messages) != 2 || *messages[0].Body != "body 1" || *messages[1].Body != "body 2" {
		t.Fatalf("received %v", messages)
	}
}

func TestTagsAndAttributes(t *testing.T) {
	url := create(t, "go-v1-tags", nil)
	tags := aws.StringMap(map[string]string{"team": "orders"})
	_, err := client(t).TagQueue(&sqs.TagQueueInput{QueueUrl: url, Tags: tags})
	check(t, err)
	listed, err := client(t).ListQueueTags(&sqs.ListQueueTagsInput{QueueUrl: url})
	check(t, err)
	if len(listed.Tags) != 1 || *listed.Tags["team"] != "orders" {
		t.Fatalf("tags %v", listed.Tags)
	}
	all := aws.StringSlice([]string{"All"})
	found, err := client(t).GetQueueAttributes(&sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: all})
	check(t, err)
	if *found.Attributes["VisibilityTimeout"] != "30" {
		t.Fatalf("attributes %v", found.Attributes)
	}
}

func TestErrors(t *testing.T) {
	_, err := client(t).GetQueueUrl(&sqs.GetQueueUrlInput{QueueName: aws.String("nowhere")})
	failure, ok := err.(awserr.RequestFailure)
	if !ok || failure.Code() != sqs.ErrCodeQueueDoesNotExist || failure.StatusCode() != 400 || failure.RequestID() == "" {
		t.Fatalf("error %v", err)
	}
}
