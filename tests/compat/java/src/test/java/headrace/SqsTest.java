package headrace;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.sqs.SqsAsyncClient;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.batchmanager.SqsAsyncBatchManager;
import software.amazon.awssdk.services.sqs.model.DeleteMessageBatchRequestEntry;
import software.amazon.awssdk.services.sqs.model.Message;
import software.amazon.awssdk.services.sqs.model.MessageAttributeValue;
import software.amazon.awssdk.services.sqs.model.MessageSystemAttributeName;
import software.amazon.awssdk.services.sqs.model.QueueAttributeName;
import software.amazon.awssdk.services.sqs.model.QueueDoesNotExistException;
import software.amazon.awssdk.services.sqs.model.SendMessageBatchRequestEntry;
import software.amazon.awssdk.services.sqs.model.SqsException;

/** The AWS SDK for Java v2, which checks message digests itself; and its batch manager over the asynchronous client. */
class SqsTest {
  private static final URI ENDPOINT = URI.create(System.getenv("HEADRACE_ENDPOINT"));
  private static final StaticCredentialsProvider CREDENTIALS =
      StaticCredentialsProvider.create(AwsBasicCredentials.create("headrace", "headrace"));
  private static final SqsClient SQS =
      SqsClient.builder()
          .endpointOverride(ENDPOINT)
          .region(Region.US_EAST_1)
          .credentialsProvider(CREDENTIALS)
          .build();

  private static String create(String name, Map<QueueAttributeName, String> attributes) {
    return SQS.createQueue(request -> request.queueName(name).attributes(attributes)).queueUrl();
  }

  private static List<Message> receive(String url) {
    return SQS.receiveMessage(
            request ->
                request
                    .queueUrl(url)
                    .maxNumberOfMessages(10)
                    .messageAttributeNames("All")
                    .messageSystemAttributeNames(MessageSystemAttributeName.ALL))
        .messages();
  }

  @Test
  void messageMakesTheRound() {
    String url = create("java", Map.of());
    Map<String, MessageAttributeValue> attributes =
        Map.of(
            "text", MessageAttributeValue.builder().dataType("String").stringValue("Grüße <&>").build(),
            "bytes",
                MessageAttributeValue.builder()
                    .dataType("Binary")
                    .binaryValue(SdkBytes.fromByteArray(new byte[] {0, -1, 30}))
                    .build());
    var sent =
        SQS.sendMessage(r -> r.queueUrl(url).messageBody("Grüße\r\n🚀").messageAttributes(attributes));
    Message message = receive(url).get(0);
    assertEquals(sent.messageId(), message.messageId());
    assertEquals("Grüße\r\n🚀", message.body());
    assertEquals(sent.md5OfMessageAttributes(), message.md5OfMessageAttributes());
    assertArrayEquals(
        new byte[] {0, -1, 30}, message.messageAttributes().get("bytes").binaryValue().asByteArray());
    assertEquals("1", message.attributes().get(MessageSystemAttributeName.APPROXIMATE_RECEIVE_COUNT));
    SQS.deleteMessage(r -> r.queueUrl(url).receiptHandle(message.receiptHandle()));
    assertTrue(receive(url).isEmpty());
  }

  @Test
  void batches() {
    String url = create("java-batches", Map.of());
    List<SendMessageBatchRequestEntry> entries =
        IntStream.range(0, 10)
            .mapToObj(
                number ->
                    SendMessageBatchRequestEntry.builder()
                        .id("" + number)
                        .messageBody("" + number)
                        .delaySeconds(number == 9 ? 901 : 0)
                        .build())
            .toList();
    var sent = SQS.sendMessageBatch(r -> r.queueUrl(url).entries(entries));
    assertEquals(9, sent.successful().size());
    assertEquals("InvalidParameterValue", sent.failed().get(0).code());
    List<DeleteMessageBatchRequestEntry> deletions =
        receive(url).stream()
            .map(
                message ->
                    DeleteMessageBatchRequestEntry.builder()
                        .id(message.body())
                        .receiptHandle(message.receiptHandle())
                        .build())
            .toList();
    var deleted = SQS.deleteMessageBatch(r -> r.queueUrl(url).entries(deletions));
    assertEquals(9, deleted.successful().size());
    assertTrue(deleted.failed().isEmpty());
  }

  @Test
  void fifo() {
    String url =
        create(
            "java.fifo",
            Map.of(
                QueueAttributeName.FIFO_QUEUE, "true",
                QueueAttributeName.CONTENT_BASED_DEDUPLICATION, "true"));
    for (String body : List.of("1", "2", "1")) {
      SQS.sendMessage(r -> r.queueUrl(url).messageBody(body).messageGroupId("g"));
    }
    assertEquals(List.of("1", "2"), receive(url).stream().map(Message::body).toList());
    assertTrue(receive(url).isEmpty());
  }

  @Test
  void errors() {
    var absent =
        assertThrows(QueueDoesNotExistException.class, () -> SQS.getQueueUrl(r -> r.queueName("nowhere")));
    assertEquals("AWS.SimpleQueueService.NonExistentQueue", absent.awsErrorDetails().errorCode());
    assertEquals(400, absent.statusCode());
    String url = create("java-errors", Map.of());
    var refused =
        assertThrows(SqsException.class, () -> SQS.receiveMessage(r -> r.queueUrl(url).maxNumberOfMessages(11)));
    assertEquals("InvalidParameterValue", refused.awsErrorDetails().errorCode());
  }

  @Test
  void pages() {
    for (int number = 0; number < 3; number++) {
      create("java-page-" + number, Map.of());
    }
    var pages = SQS.listQueuesPaginator(r -> r.queueNamePrefix("java-page-").maxResults(2));
    assertEquals(3, pages.queueUrls().stream().count());
  }

  @Test
  void batchManager() throws Exception {
    String url = create("java-manager", Map.of());
    try (SqsAsyncClient client =
            SqsAsyncClient.builder()
                .endpointOverride(ENDPOINT)
                .region(Region.US_EAST_1)
                .credentialsProvider(CREDENTIALS)
                .build();
        SqsAsyncBatchManager manager = client.batchManager()) {
      var sending =
          IntStream.range(0, 25)
              .mapToObj(number -> manager.sendMessage(r -> r.queueUrl(url).messageBody("" + number)))
              .toList();
      for (var sent : sending) {
        assertTrue(sent.get(30, TimeUnit.SECONDS).messageId() != null);
      }
      int received = 0;
      while (received < 25) {
        var messages = manager.receiveMessage(r -> r.queueUrl(url)).get(30, TimeUnit.SECONDS).messages();
        for (Message message : messages) {
          manager
              .deleteMessage(r -> r.queueUrl(url).receiptHandle(message.receiptHandle()))
              .get(30, TimeUnit.SECONDS);
        }
        received += messages.size();
      }
      assertEquals(25, received);
    }
    assertTrue(receive(url).isEmpty());
  }
}
