"""Accounts and regions: namespaces that the request's credentials choose."""

import pytest

OTHER = "123456789012"


def test_an_access_key_of_12_digits_is_the_account(connect, make_queue, headrace):
    queue = make_queue("orders", client=connect(account=OTHER))
    assert queue.url == f"{headrace.endpoint_url}/{OTHER}/orders"
    assert queue.arn == f"arn:aws:sqs:us-east-1:{OTHER}:orders"


def test_any_other_access_key_is_account_zero(connect, make_queue):
    assert make_queue("orders", client=connect(account="AKIAIOSFODNN7EXAMPLE")).url.split("/")[-2] == "000000000000"


def test_accounts_have_their_own_queues(connect, make_queue, refused):
    mine = make_queue("orders")
    theirs = make_queue("orders", client=connect(account=OTHER))
    mine.send("mine")
    assert theirs.bodies() == []
    assert mine.bodies() == ["mine"]
    assert connect(account=OTHER).list_queues()["QueueUrls"] == [theirs.url]


def test_a_queue_of_another_account_by_its_owner(connect, make_queue, sqs, refused):
    theirs = make_queue("orders", client=connect(account=OTHER))
    with refused("AWS.SimpleQueueService.NonExistentQueue"):
        sqs.get_queue_url(QueueName="orders")
    assert sqs.get_queue_url(QueueName="orders", QueueOwnerAWSAccountId=OTHER)["QueueUrl"] == theirs.url
    sqs.send_message(QueueUrl=theirs.url, MessageBody="across")
    assert theirs.bodies() == ["across"]


@pytest.mark.parametrize("region", ["eu-central-1", "ap-southeast-2", "us-gov-west-1", "cn-north-1"])
def test_regions_have_their_own_queues(connect, make_queue, region):
    here = make_queue("orders")
    there = make_queue("orders", client=connect(region=region))
    here.send("here")
    assert there.bodies() == []
    assert there.arn.split(":")[3] == region
    assert here.bodies() == ["here"]


@pytest.mark.parametrize(
    ("region", "partition"), [("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn"), ("eu-west-1", "aws")]
)
def test_arns_name_the_partition(connect, make_queue, region, partition):
    arn = make_queue("orders", client=connect(region=region)).arn
    assert arn == f"arn:{partition}:sqs:{region}:000000000000:orders"


def test_deleting_in_one_region_leaves_the_other(connect, make_queue, sqs, refused):
    here = make_queue("orders")
    there = make_queue("orders", client=connect(region="eu-west-1"))
    sqs.delete_queue(QueueUrl=here.url)
    there.send("still there")
    assert there.bodies() == ["still there"]
    with refused("AWS.SimpleQueueService.NonExistentQueue"):
        here.send("a")


def test_the_sender_id_tells_accounts_apart(connect, make_queue):
    queue = make_queue("orders")
    queue.send("mine")
    connect(account=OTHER).send_message(QueueUrl=queue.url, MessageBody="theirs")
    senders = {m["Body"]: m["Attributes"]["SenderId"] for m in queue.receive(AttributeNames=["SenderId"])}
    assert senders["mine"] != senders["theirs"]
