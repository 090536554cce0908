"""Queues: CreateQueue, GetQueueUrl, ListQueues, DeleteQueue, PurgeQueue."""

import pytest

NAME_RULE = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
FIFO_NAME_RULE = (
    "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, "
    "must end with .fifo suffix and be 1 to 80 in length"
)


def test_create_queue_gives_a_url_on_the_endpoint_with_account_and_name(sqs, headrace):
    answer = sqs.create_queue(QueueName="orders")
    assert answer["QueueUrl"] == f"{headrace.endpoint_url}/000000000000/orders"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_create_queue_again_gives_the_same_queue(sqs, queue):
    queue.send("kept")
    assert sqs.create_queue(QueueName=queue.name)["QueueUrl"] == queue.url
    assert queue.bodies() == ["kept"]


def test_create_queue_again_with_the_same_attributes(sqs, make_queue):
    queue = make_queue("orders", DelaySeconds="5", VisibilityTimeout="60")
    same = sqs.create_queue(QueueName="orders", Attributes={"DelaySeconds": "5", "VisibilityTimeout": "60"})
    assert same["QueueUrl"] == queue.url


def test_create_queue_again_with_defaults_spelled_out(sqs, queue):
    assert sqs.create_queue(QueueName=queue.name, Attributes={"VisibilityTimeout": "30"})["QueueUrl"] == queue.url


def test_create_queue_again_without_attributes_keeps_those_it_has(sqs, make_queue):
    queue = make_queue("orders", DelaySeconds="5")
    assert sqs.create_queue(QueueName="orders")["QueueUrl"] == queue.url
    assert queue.attributes("DelaySeconds") == {"DelaySeconds": "5"}


def test_create_queue_again_with_other_attributes_is_refused(sqs, make_queue, refused):
    make_queue("orders", DelaySeconds="5")
    message = "A queue already exists with the same name and a different value for attribute DelaySeconds"
    with refused("QueueAlreadyExists", message):
        sqs.create_queue(QueueName="orders", Attributes={"DelaySeconds": "6"})


def test_create_queue_again_with_an_attribute_it_lacks_is_refused(sqs, queue, refused):
    message = "A queue already exists with the same name and a different value for attribute DelaySeconds"
    with refused("QueueAlreadyExists", message):
        sqs.create_queue(QueueName=queue.name, Attributes={"DelaySeconds": "1"})


def test_create_fifo_queue_again_with_other_deduplication_is_refused(sqs, make_queue, refused):
    make_queue("orders.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "false"}
    message = "A queue already exists with the same name and a different value for attribute ContentBasedDeduplication"
    with refused("QueueAlreadyExists", message):
        sqs.create_queue(QueueName="orders.fifo", Attributes=attributes)


@pytest.mark.parametrize("name", ["a", "0", "-", "_", "Orders-2_x", "q" * 80])
def test_queue_names_that_are_allowed(sqs, name):
    assert sqs.create_queue(QueueName=name)["QueueUrl"].endswith(f"/{name}")


@pytest.mark.parametrize("name", ["q" * 81, "two words", "dot.ted", "sl/ash", "umläut", "a+b", "a\n"])
def test_queue_names_that_are_not_allowed(sqs, name, refused):
    with refused("InvalidParameterValue", NAME_RULE):
        sqs.create_queue(QueueName=name)


def test_a_standard_queue_cannot_have_the_fifo_suffix(sqs, refused):
    with refused("InvalidParameterValue", NAME_RULE):
        sqs.create_queue(QueueName="orders.fifo")


@pytest.mark.parametrize("name", ["orders", "q" * 76 + ".fifo", "a b.fifo", "a.b.fifo"])
def test_a_fifo_queue_needs_a_proper_name_with_the_suffix(sqs, name, refused):
    with refused("InvalidParameterValue", FIFO_NAME_RULE):
        sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})


def test_the_longest_fifo_name(make_queue):
    queue = make_queue("q" * 75 + ".fifo", FifoQueue="true")
    assert queue.attributes("FifoQueue") == {"FifoQueue": "true"}


def test_names_are_case_sensitive(sqs, make_queue, refused):
    make_queue("Orders")
    with refused("AWS.SimpleQueueService.NonExistentQueue"):
        sqs.get_queue_url(QueueName="orders")


def test_get_queue_url(sqs, queue):
    assert sqs.get_queue_url(QueueName=queue.name)["QueueUrl"] == queue.url


def test_get_queue_url_of_a_queue_that_is_not_there(sqs, refused):
    with refused("AWS.SimpleQueueService.NonExistentQueue"):
        sqs.get_queue_url(QueueName="nowhere")


def test_list_queues_of_an_empty_account(sqs):
    assert "QueueUrls" not in sqs.list_queues()


def test_list_queues(sqs, make_queue):
    urls = sorted(make_queue(name).url for name in ("a-1", "a-2", "b-1"))
    answer = sqs.list_queues()
    assert sorted(answer["QueueUrls"]) == urls
    assert "NextToken" not in answer


def test_list_queues_by_prefix(sqs, make_queue):
    urls = {name: make_queue(name).url for name in ("a-1", "a-2", "b-1", "A-3")}
    assert sorted(sqs.list_queues(QueueNamePrefix="a-")["QueueUrls"]) == sorted([urls["a-1"], urls["a-2"]])
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="c")


def test_list_queues_in_pages(sqs, make_queue):
    urls = {make_queue(f"q-{number}").url for number in range(5)}
    found, pages, token = [], 0, {}
    while pages == 0 or token:
        answer = sqs.list_queues(MaxResults=2, **token)
        found += answer["QueueUrls"]
        token = {"NextToken": answer["NextToken"]} if answer.get("NextToken") else {}
        pages += 1
    assert (len(found), set(found), pages) == (5, urls, 3)


def test_list_queues_in_pages_by_prefix(sqs, make_queue):
    for name in ("a-1", "a-2", "a-3", "b-1"):
        make_queue(name)
    first = sqs.list_queues(QueueNamePrefix="a-", MaxResults=2)
    rest = sqs.list_queues(QueueNamePrefix="a-", MaxResults=2, NextToken=first["NextToken"])
    names = [url.rpartition("/")[2] for url in first["QueueUrls"] + rest["QueueUrls"]]
    assert sorted(names) == ["a-1", "a-2", "a-3"]
    assert "NextToken" not in rest


@pytest.mark.parametrize("size", [0, -1, 1001])
def test_list_queues_refuses_a_page_size_out_of_range(sqs, size, refused):
    with refused("InvalidParameterValue"):
        sqs.list_queues(MaxResults=size)


def test_delete_queue(sqs, queue, refused):
    sqs.delete_queue(QueueUrl=queue.url)
    assert "QueueUrls" not in sqs.list_queues()
    with refused("AWS.SimpleQueueService.NonExistentQueue"):
        queue.send("too late")
    with refused("AWS.SimpleQueueService.NonExistentQueue"):
        sqs.get_queue_url(QueueName=queue.name)


def test_a_deleted_name_is_free_again_after_60_seconds(sqs, queue, headrace, refused):
    queue.send("gone with the queue")
    sqs.delete_queue(QueueUrl=queue.url)
    message = "You must wait 60 seconds after deleting a queue before you can create another with the same name."
    with refused("AWS.SimpleQueueService.QueueDeletedRecently", message):
        sqs.create_queue(QueueName=queue.name)
    headrace.advance(58)
    with refused("AWS.SimpleQueueService.QueueDeletedRecently", message):
        sqs.create_queue(QueueName=queue.name)
    headrace.advance(2)
    assert sqs.create_queue(QueueName=queue.name, Attributes={"DelaySeconds": "1"})["QueueUrl"] == queue.url
    assert queue.depth() == (0, 0, 0)


def test_purge_queue_empties_it_whatever_the_messages_state(sqs, queue):
    queue.send("in flight")
    assert queue.bodies() == ["in flight"]
    queue.send("visible")
    queue.send("delayed", DelaySeconds=10)
    assert queue.depth() == (1, 1, 1)
    sqs.purge_queue(QueueUrl=queue.url)
    assert queue.depth() == (0, 0, 0)
    assert queue.bodies() == []


def test_purged_messages_do_not_return_and_later_ones_stay(sqs, queue, headrace):
    queue.send("before")
    assert queue.bodies() == ["before"]
    sqs.purge_queue(QueueUrl=queue.url)
    queue.send("after")
    headrace.advance(60)
    assert queue.bodies() == ["after"]


def test_purge_queue_is_allowed_once_in_60_seconds(sqs, queue, headrace, refused):
    sqs.purge_queue(QueueUrl=queue.url)
    message = "Only one PurgeQueue operation on orders is allowed every 60 seconds."
    with refused("AWS.SimpleQueueService.PurgeQueueInProgress", message, status=403):
        sqs.purge_queue(QueueUrl=queue.url)
    headrace.advance(60)
    sqs.purge_queue(QueueUrl=queue.url)


def test_a_queue_is_addressed_by_path_whatever_the_host_of_its_url(sqs, queue):
    elsewhere = "http://sqs.us-east-1.example.org/000000000000/orders"
    sqs.send_message(QueueUrl=elsewhere, MessageBody="found")
    assert queue.bodies() == ["found"]


def test_a_queue_is_found_by_its_bare_name(sqs, queue):
    sqs.send_message(QueueUrl="orders", MessageBody="found")
    assert queue.bodies() == ["found"]


def test_queue_urls_echo_the_host_the_client_used(connect, headrace, queue):
    by_name = headrace.endpoint_url.replace("127.0.0.1", "localhost")
    url = connect(endpoint_url=by_name).get_queue_url(QueueName=queue.name)["QueueUrl"]
    assert url == f"{by_name}/000000000000/orders"
