"""Two processes on one NATS: whatever is done at one holds at the other."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

ACCOUNT = "000000000000"
OTHER = "123456789012"


@pytest.fixture
def sqs(two):
    return [each.client("sqs") for each in two]


@pytest.fixture
def sns(two):
    return [each.client("sns") for each in two]


def url_of(client, name):
    return client.get_queue_url(QueueName=name)["QueueUrl"]


def make(client, name, **attributes):
    return client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def receive(client, url, count=10, **options):
    return client.receive_message(QueueUrl=url, MaxNumberOfMessages=count, **options).get("Messages", [])


def bodies(messages):
    return [message["Body"] for message in messages]


def send(client, url, body, group=None, dedup=None):
    fifo = {"MessageGroupId": group, "MessageDeduplicationId": dedup or body} if group else {}
    return client.send_message(QueueUrl=url, MessageBody=body, **fifo)


@pytest.mark.parametrize(("sender", "receiver"), [(0, 1), (1, 0)])
def test_a_send_at_one_wakes_who_waits_at_the_other(sqs, name, sender, receiver):
    url = make(sqs[0], name)
    sqs[0].get_queue_attributes(QueueUrl=url, AttributeNames=["All"])  # the first process keeps the queue
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(receive, sqs[receiver], url_of(sqs[receiver], name), WaitTimeSeconds=20)
        send(sqs[sender], url_of(sqs[sender], name), "late")
        assert bodies(waiting.result()) == ["late"]


def test_a_receipt_of_one_is_good_at_the_other(sqs, name):
    urls = make(sqs[0], name), url_of(sqs[1], name)
    send(sqs[0], urls[0], "a")
    [message] = receive(sqs[1], urls[1])
    receipt = message["ReceiptHandle"]
    sqs[0].change_message_visibility(QueueUrl=urls[0], ReceiptHandle=receipt, VisibilityTimeout=0)
    [again] = receive(sqs[0], urls[0])
    assert again["MessageId"] == message["MessageId"]
    sqs[1].delete_message(QueueUrl=urls[1], ReceiptHandle=again["ReceiptHandle"])
    found = sqs[0].get_queue_attributes(QueueUrl=urls[0], AttributeNames=["All"])["Attributes"]
    assert [found[f"ApproximateNumberOfMessages{state}"] for state in ("", "NotVisible", "Delayed")] == ["0"] * 3


def test_a_group_that_is_locked_at_one_is_locked_at_the_other(sqs, name):
    name += ".fifo"
    urls = make(sqs[0], name, FifoQueue="true"), url_of(sqs[1], name)
    for number, (group, body) in enumerate([("g", "g1"), ("g", "g2"), ("h", "h1")]):
        send(sqs[number % 2], urls[number % 2], body, group)
    [first] = receive(sqs[0], urls[0], 1)
    assert bodies(receive(sqs[1], urls[1])) == ["h1"]
    assert receive(sqs[1], urls[1]) == []
    sqs[1].delete_message(QueueUrl=urls[1], ReceiptHandle=first["ReceiptHandle"])
    assert bodies(receive(sqs[1], urls[1])) == ["g2"]


def test_a_duplicate_is_one_wherever_it_is_sent(sqs, name):
    name += ".fifo"
    urls = make(sqs[0], name, FifoQueue="true"), url_of(sqs[1], name)
    sent = [send(sqs[at % 2], urls[at % 2], f"take {at}", "g", "same") for at in range(4)]
    assert len({each["MessageId"] for each in sent}) == len({each["SequenceNumber"] for each in sent}) == 1
    assert bodies(receive(sqs[1], urls[1])) == ["take 0"]


def test_a_changed_attribute_holds_at_the_other(sqs, name, until):
    urls = make(sqs[0], name), url_of(sqs[1], name)

    def told():
        return sqs[1].get_queue_attributes(QueueUrl=urls[1], AttributeNames=["VisibilityTimeout"])["Attributes"]

    for timeout in ("0", "77", "0"):
        sqs[0].set_queue_attributes(QueueUrl=urls[0], Attributes={"VisibilityTimeout": timeout})
        until(lambda timeout=timeout: told()["VisibilityTimeout"] == timeout)
    send(sqs[1], urls[1], "a")
    assert bodies(receive(sqs[1], urls[1])) == bodies(receive(sqs[1], urls[1])) == ["a"]  # it is hidden for no time
    sqs[0].delete_queue(QueueUrl=urls[0])

    def gone():
        try:
            return not receive(sqs[1], urls[1])
        except sqs[1].exceptions.QueueDoesNotExist:
            return True

    until(gone)


def test_a_changed_topic_policy_holds_at_the_other(sns, name, until):
    topic = sns[0].create_topic(Name=name)["TopicArn"]

    def statements():
        policy = sns[1].get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]
        return [each["Sid"] for each in json.loads(policy)["Statement"]]

    assert statements() == ["__default_statement_ID"]
    sns[0].add_permission(TopicArn=topic, Label="them", AWSAccountId=[OTHER], ActionName=["Publish"])
    until(lambda: statements() == ["__default_statement_ID", "them"])
    sns[0].remove_permission(TopicArn=topic, Label="them")
    until(lambda: statements() == ["__default_statement_ID"])


def test_what_is_denied_at_one_is_denied_at_the_other(sns, name, until):
    topic = sns[0].create_topic(Name=name)["TopicArn"]
    identifier = "arn:aws:dataprotection::aws:data-identifier/CreditCardNumber"
    statement = {"Sid": "s", "DataDirection": "Inbound", "Principal": ["*"], "DataIdentifier": [identifier]}
    policy = {"Name": "p", "Version": "2021-06-01", "Statement": [statement | {"Operation": {"Deny": {}}}]}

    def allowed():
        try:
            return bool(sns[1].publish(TopicArn=topic, Message="4111 1111 1111 1111"))
        except sns[1].exceptions.AuthorizationErrorException:
            return False

    assert allowed()
    sns[0].put_data_protection_policy(ResourceArn=topic, DataProtectionPolicy=json.dumps(policy))
    until(lambda: not allowed())
    sns[0].put_data_protection_policy(ResourceArn=topic, DataProtectionPolicy="")
    until(allowed)


def test_what_is_published_at_one_is_received_at_the_other(sqs, sns, name):
    urls = make(sqs[1], name), url_of(sqs[0], name)
    topic = sns[0].create_topic(Name=name)["TopicArn"]
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"
    sns[1].subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    for number in range(10):
        sns[number % 2].publish(TopicArn=topic, Message=str(number))
    found = []
    while len(found) < 10:
        messages = receive(sqs[0], urls[1], WaitTimeSeconds=20)
        assert messages
        found += bodies(messages)
        for message in messages:
            sqs[0].delete_message(QueueUrl=urls[1], ReceiptHandle=message["ReceiptHandle"])
    assert sorted(found) == [str(number) for number in range(10)]


def test_an_endpoint_is_told_of_each_once(sns, name, until, web_endpoint):
    topic = sns[0].create_topic(Name=name)["TopicArn"]
    sns[0].subscribe(TopicArn=topic, Protocol="http", Endpoint=web_endpoint.url)
    until(lambda: web_endpoint.asked)
    sns[1].confirm_subscription(TopicArn=topic, Token=web_endpoint.asked[0])
    for number in range(10):
        sns[number % 2].publish(TopicArn=topic, Message=str(number))
    until(lambda: len(web_endpoint.heard) >= 10)
    assert sorted(web_endpoint.heard) == [str(number) for number in range(10)]


def test_records_written_at_both_keep_the_order_of_their_key(two, name, until):
    kinesis = [each.client("kinesis") for each in two]
    kinesis[0].create_stream(StreamName=name, ShardCount=2)
    until(lambda: _status(kinesis[0], name) == "ACTIVE")
    until(lambda: _status(kinesis[1], name) == "ACTIVE")

    def write(key):
        for number in range(20):  # each once the one before is acknowledged, at one process and the other in turn
            client = kinesis[number % 2]
            client.put_record(StreamName=name, Data=f"{key}-{number}".encode(), PartitionKey=key)

    keys = [f"key{number}" for number in range(6)]
    writers = [threading.Thread(target=write, args=(key,)) for key in keys]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    for client in kinesis:
        found = _read_all(client, name)
        for key in keys:
            mine = [data for data in found if data.startswith(f"{key}-")]
            assert mine == [f"{key}-{number}" for number in range(20)]


def _status(client, name):
    return client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamStatus"]


def _read_all(client, name):
    found = []
    for shard in client.list_shards(StreamName=name)["Shards"]:
        place = {"StreamName": name, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = client.get_shard_iterator(**place)["ShardIterator"]
        found += [record["Data"].decode() for record in client.get_records(ShardIterator=iterator)["Records"]]
    return found


def test_both_tell_of_the_same_things(two, sqs, sns, name):
    make(sqs[0], name)
    sns[1].create_topic(Name=name)
    for number in range(2):
        urls = sqs[number].list_queues(QueueNamePrefix=name)["QueueUrls"]
        assert [url.rpartition("/")[2] for url in urls] == [name]
        arns = [each["TopicArn"] for each in sns[number].list_topics()["Topics"]]
        assert f"arn:aws:sns:us-east-1:{ACCOUNT}:{name}" in arns
        assert two[number].health()["engine"] == "nats"
