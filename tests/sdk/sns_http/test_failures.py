"""HTTP endpoints that fail in every way, under the virtual clock: what is tried again, and what becomes of the rest."""

import json

import pytest

QUICK = json.dumps({"healthyRetryPolicy": {"numRetries": 2, "minDelayTarget": 5, "maxDelayTarget": 5}})


@pytest.fixture
def dead_letters(headrace):
    """A queue for what could not be delivered, and a function that gives what came there."""
    sqs = headrace.client("sqs")
    url = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    class DeadLetters:
        policy = json.dumps({"deadLetterTargetArn": arn})

        def receive(self):
            answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0, MessageAttributeNames=["All"])
            return answer.get("Messages", [])

        def expect(self, moves=0):
            for _ in range(100):
                if found := self.receive():
                    return found[0]
                headrace.advance(moves)
            raise AssertionError("no dead letter came")

    return DeadLetters()


@pytest.mark.parametrize("name", ["hang_up", "cut"])
def test_a_connection_that_ends_early_is_tried_again(name, sns, topic, subscriber, subscribe, behaviour, until_posted):
    subscribe(subscriber)
    subscriber.behaviours = [getattr(behaviour, name)]
    sns.publish(TopicArn=topic, Message="one")
    subscriber.expect(1)
    until_posted(subscriber, 2)
    first, second = subscriber.posted
    assert first.body == second.body
    assert json.loads(second.body)["Message"] == "one"


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_error_is_tried_again(status, sns, topic, subscriber, subscribe, behaviour, until_posted):
    subscribe(subscriber)
    subscriber.behaviours = [behaviour.answer(status), behaviour.answer(status)]
    sns.publish(TopicArn=topic, Message="one")
    until_posted(subscriber, 3)
    assert {posted.json["Message"] for posted in subscriber.posted} == {"one"}


def test_an_endpoint_that_hangs_is_given_up_after_fifteen_seconds(
    headrace, sns, topic, subscriber, subscribe, until_posted
):
    subscribe(subscriber)
    subscriber.behaviours = [subscriber.hang]
    sns.publish(TopicArn=topic, Message="one")
    subscriber.expect(1)
    headrace.advance(15)
    until_posted(subscriber, 2)
    assert subscriber.posted[1].json["Message"] == "one"


def test_retry_after_is_respected(headrace, sns, topic, subscriber, subscribe, behaviour, until_posted):
    subscribe(subscriber, DeliveryPolicy=QUICK)
    subscriber.behaviours = [behaviour.answer(429, Retry_After="600")]
    sns.publish(TopicArn=topic, Message="one")
    subscriber.expect(1)
    assert until_posted(subscriber, 2, step_s=100) >= 600


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_client_error_is_not_tried_again(status, sns, topic, subscriber, subscribe, behaviour, dead_letters):
    subscribe(subscriber, RedrivePolicy=dead_letters.policy)
    subscriber.behaviours = [behaviour.answer(status, b"no")]
    sns.publish(TopicArn=topic, Message="one")
    envelope = json.loads(dead_letters.expect()["Body"])
    assert (envelope["Type"], envelope["Message"]) == ("Notification", "one")
    assert len(subscriber.posted) == 1


def test_what_fails_to_the_end_goes_to_the_dead_letter_queue(
    sns, topic, subscriber, subscribe, behaviour, dead_letters
):
    subscribe(subscriber, RedrivePolicy=dead_letters.policy, DeliveryPolicy=QUICK, RawMessageDelivery="true")
    subscriber.behaviours = [behaviour.answer(500)] * 10
    sns.publish(TopicArn=topic, Message="one", MessageAttributes={"n": {"DataType": "Number", "StringValue": "1"}})
    letter = dead_letters.expect(moves=5)
    assert letter["Body"] == "one"
    assert letter["MessageAttributes"]["n"]["StringValue"] == "1"
    assert len(subscriber.posted) == 3


def test_an_endpoint_that_refuses_connections(sns, topic, make_subscriber, subscribe, dead_letters):
    subscriber = make_subscriber()
    subscribe(subscriber, RedrivePolicy=dead_letters.policy, DeliveryPolicy=QUICK)
    subscriber.close()
    sns.publish(TopicArn=topic, Message="one")
    assert json.loads(dead_letters.expect(moves=5)["Body"])["Message"] == "one"


def test_a_dead_endpoint_holds_up_nobody(sns, topic, make_subscriber, subscribe):
    dead, alive = make_subscriber(), make_subscriber()
    subscribe(dead)
    subscribe(alive)
    dead.behaviours = [dead.hang] * 200
    for n in range(100):
        sns.publish(TopicArn=topic, Message=str(n))
    got = {posted.json["Message"] for posted in alive.expect(100)}
    assert got == {str(n) for n in range(100)}


def test_a_pace_is_kept(headrace, sns, topic, subscriber, subscribe):
    policy = json.dumps({"throttlePolicy": {"maxReceivesPerSecond": 1}})
    subscribe(subscriber, DeliveryPolicy=policy)
    for n in range(5):
        sns.publish(TopicArn=topic, Message=str(n))
    subscriber.expect(1)
    assert len(subscriber.posted) <= 3  # the clock runs with the machine's time, too
    headrace.advance(5)
    subscriber.expect(5)


def test_a_clock_that_is_moved_leaves_an_answer_on_its_way_the_time_it_takes(
    headrace, sns, topic, subscriber, subscribe, behaviour
):
    subscribe(subscriber)
    came = len(subscriber.posted)

    def answer_soon(handler):
        subscriber.released.wait(0.1)
        behaviour.answer(200)(handler)

    subscriber.behaviours.append(answer_soon)
    sns.publish(TopicArn=topic, Message="once")
    subscriber.expect(came + 1)
    headrace.advance(3600)
    sns.publish(TopicArn=topic, Message="afterwards")
    posted = subscriber.expect(came + 2)
    assert [each.json["Message"] for each in posted[came:]] == ["once", "afterwards"]
