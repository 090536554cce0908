// Package terraform makes the calls, in their order, that Terraform's AWS provider makes for aws_sqs_queue,
// aws_sqs_queue_policy, aws_sqs_queue_redrive_policy and aws_sqs_queue_redrive_allow_policy: create with attributes and
// tags, read until what was written is what is read, change, remove, delete, read until the queue is gone.
package terraform

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

const occurrences = 6 // how often in a row the provider wants to read what it wrote

var (
	ctx    = context.Background()
	client = sqs.New(sqs.Options{
		BaseEndpoint: aws.String(os.Getenv("HEADRACE_ENDPOINT")),
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("headrace", "headrace", ""),
	})
	structured = map[string]bool{"Policy": true, "RedrivePolicy": true, "RedriveAllowPolicy": true}
)

// resource is an aws_sqs_queue: what the configuration says of it.
type resource struct {
	name       string
	attributes map[string]string
	tags       map[string]string
}

func standard(extra map[string]string) map[string]string {
	attributes := map[string]string{
		"DelaySeconds":                  "0",
		"MaximumMessageSize":            "1048576",
		"MessageRetentionPeriod":        "345600",
		"ReceiveMessageWaitTimeSeconds": "0",
		"VisibilityTimeout":             "30",
	}
	for name, value := range extra {
		attributes[name] = value
	}
	return attributes
}

func (r resource) create(t *testing.T) string {
	t.Helper()
	created, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{
		QueueName: aws.String(r.name), Attributes: r.attributes, Tags: r.tags,
	})
	if err != nil {
		t.Fatal(err)
	}
	propagated(t, *created.QueueUrl, r.attributes)
	r.read(t, *created.QueueUrl)
	return *created.QueueUrl
}

// read is the refresh of `terraform plan`: every attribute and the tags must be what the configuration says.
func (r resource) read(t *testing.T, url string) {
	t.Helper()
	propagated(t, url, r.attributes)
	listed, err := client.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: &url})
	if err != nil {
		t.Fatal(err)
	}
	if len(listed.Tags)+len(r.tags) > 0 && !reflect.DeepEqual(listed.Tags, r.tags) {
		t.Fatalf("tags %v instead of %v", listed.Tags, r.tags)
	}
}

func all(url string) (map[string]string, error) {
	found, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil {
		return nil, err
	}
	return found.Attributes, nil
}

// propagated reads until what was written is what is read; Headrace is to say so the first time.
func propagated(t *testing.T, url string, expected map[string]string) {
	t.Helper()
	for range occurrences {
		found, err := all(url)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range expected {
			read, there := found[name]
			if !there && value == "" {
				continue
			}
			if read != value && !(structured[name] && equal(read, value)) {
				t.Fatalf("%s is %q instead of %q", name, read, value)
			}
		}
	}
}

func equal(one, other string) bool {
	var left, right any
	return json.Unmarshal([]byte(one), &left) == nil && json.Unmarshal([]byte(other), &right) == nil &&
		reflect.DeepEqual(left, right)
}

func set(t *testing.T, url string, attributes map[string]string) {
	t.Helper()
	_, err := client.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	propagated(t, url, attributes)
}

func arn(t *testing.T, url string) string {
	t.Helper()
	found, err := all(url)
	if err != nil {
		t.Fatal(err)
	}
	return found["QueueArn"]
}

func remove(t *testing.T, url string) {
	t.Helper()
	if _, err := client.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &url}); err != nil {
		t.Fatal(err)
	}
	_, err := all(url)
	var refused smithy.APIError
	if !errors.As(err, &refused) || refused.ErrorCode() != "AWS.SimpleQueueService.NonExistentQueue" {
		t.Fatalf("after the deletion: %v", err)
	}
}

func document(t *testing.T, value any) string {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

func TestQueue(t *testing.T) {
	queue := resource{"tf", standard(nil), map[string]string{"Name": "tf", "team": "orders"}}
	url := queue.create(t)
	changes := map[string]string{"VisibilityTimeout": "60", "DelaySeconds": "90", "MaximumMessageSize": "2048"}
	set(t, url, changes)
	queue.attributes = standard(changes)
	untag := &sqs.UntagQueueInput{QueueUrl: &url, TagKeys: []string{"team"}}
	if _, err := client.UntagQueue(ctx, untag); err != nil {
		t.Fatal(err)
	}
	tag := &sqs.TagQueueInput{QueueUrl: &url, Tags: map[string]string{"Name": "renamed"}}
	if _, err := client.TagQueue(ctx, tag); err != nil {
		t.Fatal(err)
	}
	queue.tags = map[string]string{"Name": "renamed"}
	queue.read(t, url)
	remove(t, url)
}

func TestFifoQueue(t *testing.T) {
	fifo := map[string]string{
		"FifoQueue": "true", "ContentBasedDeduplication": "true",
		"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId",
	}
	queue := resource{"tf.fifo", standard(fifo), nil}
	url := queue.create(t)
	set(t, url, map[string]string{"FifoThroughputLimit": "perQueue", "DeduplicationScope": "queue"})
	remove(t, url)
}

func TestEncryption(t *testing.T) {
	key := map[string]string{"KmsMasterKeyId": "alias/aws/sqs", "KmsDataKeyReusePeriodSeconds": "300"}
	url := resource{"tf-kms", standard(key), nil}.create(t)
	set(t, url, map[string]string{"KmsMasterKeyId": "", "SqsManagedSseEnabled": "true"})
	remove(t, url)
	url = resource{"tf-managed", standard(map[string]string{"SqsManagedSseEnabled": "false"}), nil}.create(t)
	remove(t, url)
}

func TestPolicies(t *testing.T) {
	dead := resource{"tf-dead", standard(nil), nil}.create(t)
	source := resource{"tf-source", standard(nil), nil}.create(t)
	policy := document(t, map[string]any{
		"Version": "2012-10-17", "Id": "tf",
		"Statement": []any{map[string]any{
			"Sid": "send", "Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn(t, source),
			"Condition": map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": "arn:aws:sns:us-east-1:1:t"}},
		}},
	})
	set(t, source, map[string]string{"Policy": policy})
	allow := map[string]any{"redrivePermission": "byQueue", "sourceQueueArns": []string{arn(t, source)}}
	set(t, dead, map[string]string{"RedriveAllowPolicy": document(t, allow)})
	redrive := map[string]any{"deadLetterTargetArn": arn(t, dead), "maxReceiveCount": 4}
	set(t, source, map[string]string{"RedrivePolicy": document(t, redrive)})
	for _, name := range []string{"Policy", "RedrivePolicy"} {
		set(t, source, map[string]string{name: ""})
	}
	set(t, dead, map[string]string{"RedriveAllowPolicy": ""})
	remove(t, source)
	remove(t, dead)
}

func TestQueueWithInlinePolicies(t *testing.T) {
	dead := resource{"tf-inline-dead", standard(nil), nil}.create(t)
	redrive := document(t, map[string]any{"deadLetterTargetArn": arn(t, dead), "maxReceiveCount": 4})
	source := resource{"tf-inline", standard(map[string]string{"RedrivePolicy": redrive}), nil}
	url := source.create(t)
	if again := source.create(t); again != url {
		t.Fatalf("%s instead of %s", again, url)
	}
	remove(t, url)
	remove(t, dead)
}
