package headrace;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.ConsumerStatus;
import software.amazon.awssdk.services.kinesis.model.InvalidArgumentException;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.ResourceInUseException;
import software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException;
import software.amazon.awssdk.services.kinesis.model.ScalingType;
import software.amazon.awssdk.services.kinesis.model.ShardFilterType;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.StartingPosition;
import software.amazon.awssdk.services.kinesis.model.StreamDescriptionSummary;
import software.amazon.awssdk.services.kinesis.model.StreamStatus;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;

/** The AWS SDK for Java v2, which speaks CBOR; its asynchronous client speaks HTTP/2, with prior knowledge. */
class KinesisTest {
  private static final URI ENDPOINT = URI.create(System.getenv("HEADRACE_ENDPOINT"));
  private static final StaticCredentialsProvider CREDENTIALS =
      StaticCredentialsProvider.create(AwsBasicCredentials.create("headrace", "headrace"));
  private static final String SHARD = "shardId-000000000000";
  private static final String HALF = BigInteger.ONE.shiftLeft(127).toString();
  private static final StartingPosition TRIM_HORIZON =
      StartingPosition.builder().type(ShardIteratorType.TRIM_HORIZON).build();
  private static final long SECONDS = 30;

  /** What the clients said that their requests are. */
  private static final Set<String> CONTENT_TYPES = ConcurrentHashMap.newKeySet();

  private static final ExecutionInterceptor NOTE_CONTENT_TYPE =
      new ExecutionInterceptor() {
        @Override
        public void beforeTransmission(Context.BeforeTransmission context, ExecutionAttributes attributes) {
          context.httpRequest().firstMatchingHeader("Content-Type").ifPresent(CONTENT_TYPES::add);
        }
      };

  private static final KinesisClient KINESIS =
      KinesisClient.builder()
          .endpointOverride(ENDPOINT)
          .overrideConfiguration(c -> c.addExecutionInterceptor(NOTE_CONTENT_TYPE))
          .region(Region.US_EAST_1)
          .credentialsProvider(CREDENTIALS)
          .build();
  private static final KinesisAsyncClient ASYNC =
      KinesisAsyncClient.builder()
          .endpointOverride(ENDPOINT)
          .overrideConfiguration(c -> c.addExecutionInterceptor(NOTE_CONTENT_TYPE))
          .region(Region.US_EAST_1)
          .credentialsProvider(CREDENTIALS)
          .build();

  @AfterAll
  static void close() {
    KINESIS.close();
    ASYNC.close();
    // SubscribeToShard is the one call that this SDK makes by JSON.
    CONTENT_TYPES.remove("application/x-amz-json-1.1");
    assertEquals(Set.of("application/x-amz-cbor-1.1"), CONTENT_TYPES);
  }

  private static StreamDescriptionSummary active(String name) throws InterruptedException {
    while (true) {
      var found = KINESIS.describeStreamSummary(r -> r.streamName(name)).streamDescriptionSummary();
      if (found.streamStatus() == StreamStatus.ACTIVE) {
        return found;
      }
      Thread.sleep(20);
    }
  }

  private static String makeStream(String name) throws InterruptedException {
    KINESIS.createStream(r -> r.streamName(name).shardCount(1));
    return active(name).streamARN();
  }

  private static String register(String stream, String name) throws InterruptedException {
    String arn =
        KINESIS.registerStreamConsumer(r -> r.streamARN(stream).consumerName(name)).consumer().consumerARN();
    while (KINESIS.describeStreamConsumer(r -> r.consumerARN(arn)).consumerDescription().consumerStatus()
        != ConsumerStatus.ACTIVE) {
      Thread.sleep(20);
    }
    return arn;
  }

  private static void put(String stream, String... bodies) {
    var records =
        Stream.of(bodies)
            .map(body -> PutRecordsRequestEntry.builder().data(SdkBytes.fromUtf8String(body)).partitionKey("k").build())
            .toList();
    assertEquals(0, KINESIS.putRecords(r -> r.streamARN(stream).records(records)).failedRecordCount());
  }

  private static List<Record> read(String stream, ShardIteratorType type, Instant from) {
    String iterator =
        KINESIS
            .getShardIterator(r -> r.streamARN(stream).shardId(SHARD).shardIteratorType(type).timestamp(from))
            .shardIterator();
    return KINESIS.getRecords(r -> r.shardIterator(iterator)).records();
  }

  private static String text(Record record) {
    return record.data().asString(StandardCharsets.UTF_8);
  }

  /** A subscription, its events in a queue and its end in a future. */
  private static final class Subscription {
    final BlockingQueue<SubscribeToShardEvent> events = new LinkedBlockingQueue<>();
    final CompletableFuture<Void> done;

    Subscription(String consumer, StartingPosition from) {
      var handler =
          SubscribeToShardResponseHandler.builder()
              .subscriber(
                  SubscribeToShardResponseHandler.Visitor.builder().onSubscribeToShardEvent(events::add).build())
              .build();
      done =
          ASYNC.subscribeToShard(
              r -> r.consumerARN(consumer).shardId(SHARD).startingPosition(from), handler);
    }

    /** The data of that many records, from as many events as it takes. */
    List<String> take(int count) throws Exception {
      List<String> found = new ArrayList<>();
      while (found.size() < count) {
        var event = events.poll(SECONDS, TimeUnit.SECONDS);
        if (event == null) {
          done.get(0, TimeUnit.SECONDS);
        }
        assertNotNull(event);
        event.records().forEach(record -> found.add(text(record)));
      }
      return found;
    }

    Throwable error() {
      return assertThrows(ExecutionException.class, () -> done.get(SECONDS, TimeUnit.SECONDS)).getCause();
    }
  }

  @Test
  void recordsMakeTheRound() throws Exception {
    String stream = makeStream("java-round");
    byte[] data = new byte[] {0, -1, 30};
    var sent =
        KINESIS.putRecord(r -> r.streamARN(stream).data(SdkBytes.fromByteArray(data)).partitionKey("ключ 🚀"));
    assertEquals(SHARD, sent.shardId());
    Record record = read(stream, ShardIteratorType.TRIM_HORIZON, null).get(0);
    assertArrayEquals(data, record.data().asByteArray());
    assertEquals("ключ 🚀", record.partitionKey());
    assertEquals(sent.sequenceNumber(), record.sequenceNumber());
    Instant arrived = record.approximateArrivalTimestamp();
    assertTrue(Duration.between(arrived, Instant.now()).abs().compareTo(Duration.ofHours(1)) < 0);
    assertEquals(1, read(stream, ShardIteratorType.AT_TIMESTAMP, arrived).size());
    assertEquals(0, read(stream, ShardIteratorType.AT_TIMESTAMP, arrived.plusMillis(1)).size());
  }

  @Test
  void batches() throws Exception {
    String stream = makeStream("java-batches");
    List<String> sent = IntStream.range(0, 500).mapToObj(Integer::toString).toList();
    put(stream, sent.toArray(String[]::new));
    assertEquals(sent, read(stream, ShardIteratorType.TRIM_HORIZON, null).stream().map(KinesisTest::text).toList());
  }

  @Test
  void shards() throws Exception {
    String stream = makeStream("java-shards");
    KINESIS.splitShard(r -> r.streamARN(stream).shardToSplit(SHARD).newStartingHashKey(HALF));
    assertEquals(2, active("java-shards").openShardCount());
    var latest =
        KINESIS.listShards(r -> r.streamARN(stream).shardFilter(f -> f.type(ShardFilterType.AT_LATEST))).shards();
    assertEquals(List.of("0", HALF), latest.stream().map(s -> s.hashKeyRange().startingHashKey()).toList());
    KINESIS.increaseStreamRetentionPeriod(r -> r.streamARN(stream).retentionPeriodHours(48));
    assertEquals(48, active("java-shards").retentionPeriodHours());
  }

  @Test
  void waitersAndPages() throws Exception {
    for (int number = 0; number < 3; number++) {
      makeStream("zz-java-page-" + number);
    }
    var pages = KINESIS.listStreamsPaginator(r -> r.limit(2).exclusiveStartStreamName("zz-java"));
    assertEquals(3, pages.streamNames().stream().count());
    try (var waiter = KINESIS.waiter()) {
      assertTrue(waiter.waitUntilStreamExists(r -> r.streamName("zz-java-page-0")).matched().response().isPresent());
    }
  }

  @Test
  void manyCallsByOneConnection() throws Exception {
    String stream = makeStream("java-crowd");
    var calls =
        IntStream.range(0, 200)
            .mapToObj(number -> SdkBytes.fromUtf8String("" + number))
            .map(data -> ASYNC.putRecord(r -> r.streamARN(stream).data(data).partitionKey("k")))
            .toList();
    for (var call : calls) {
      assertNotNull(call.get(SECONDS, TimeUnit.SECONDS).sequenceNumber());
    }
    assertEquals(200, read(stream, ShardIteratorType.TRIM_HORIZON, null).size());
  }

  @Test
  void errors() throws Exception {
    var absent =
        assertThrows(ResourceNotFoundException.class, () -> KINESIS.describeStream(r -> r.streamName("nowhere")));
    assertEquals("ResourceNotFoundException", absent.awsErrorDetails().errorCode());
    assertEquals("Stream nowhere under account 000000000000 not found.", absent.awsErrorDetails().errorMessage());
    assertEquals(400, absent.statusCode());
    assertThrows(InvalidArgumentException.class, () -> KINESIS.getRecords(r -> r.shardIterator("garbage")));
    makeStream("java-errors");
    assertThrows(
        ResourceInUseException.class, () -> KINESIS.createStream(r -> r.streamName("java-errors").shardCount(1)));
  }

  @Test
  void recordsArePushed() throws Exception {
    String stream = makeStream("java-pushed");
    put(stream, "0", "1");
    var subscriptions =
        List.of(
            new Subscription(register(stream, "a"), TRIM_HORIZON),
            new Subscription(register(stream, "b"), TRIM_HORIZON));
    for (var subscription : subscriptions) {
      assertEquals(List.of("0", "1"), subscription.take(2));
    }
    for (String body : List.of("2", "3", "4")) {
      put(stream, body);
      for (var subscription : subscriptions) {
        assertEquals(List.of(body), subscription.take(1));
      }
    }
    for (var subscription : subscriptions) {
      subscription.done.cancel(true);
    }
  }

  @Test
  void aSubscriptionGoesOnWhereTheLastEnded() throws Exception {
    String stream = makeStream("java-again");
    String consumer = register(stream, "reader");
    put(stream, "0", "1");
    var first = new Subscription(consumer, TRIM_HORIZON);
    var event = first.events.poll(SECONDS, TimeUnit.SECONDS);
    assertEquals(2, event.records().size());
    var early = new Subscription(consumer, TRIM_HORIZON);
    assertInstanceOf(ResourceInUseException.class, early.error());
    put(stream, "2");
    assertEquals(List.of("2"), first.take(1));
    Thread.sleep(5_000); // a subscription takes over from another after so long
    var from =
        StartingPosition.builder()
            .type(ShardIteratorType.AFTER_SEQUENCE_NUMBER)
            .sequenceNumber(event.continuationSequenceNumber())
            .build();
    var second = new Subscription(consumer, from);
    assertEquals(List.of("2"), second.take(1));
    assertInstanceOf(ResourceInUseException.class, first.error());
    second.done.cancel(true);
  }

  @Test
  void theEndOfAShard() throws Exception {
    String stream = makeStream("java-ends");
    var subscription = new Subscription(register(stream, "reader"), TRIM_HORIZON);
    put(stream, "0");
    assertEquals(List.of("0"), subscription.take(1));
    KINESIS.updateShardCount(
        r -> r.streamARN(stream).targetShardCount(2).scalingType(ScalingType.UNIFORM_SCALING));
    subscription.done.get(SECONDS, TimeUnit.SECONDS);
    var events = new ArrayList<>(subscription.events);
    assertEquals(2, events.get(events.size() - 1).childShards().size());
  }

  @Test
  void aConsumerThatIsGivenUpIsTold() throws Exception {
    String stream = makeStream("java-given-up");
    String consumer = register(stream, "reader");
    var subscription = new Subscription(consumer, TRIM_HORIZON);
    assertNotNull(subscription.events.poll(SECONDS, TimeUnit.SECONDS));
    KINESIS.deregisterStreamConsumer(r -> r.consumerARN(consumer));
    assertInstanceOf(ResourceNotFoundException.class, subscription.error());
  }
}
