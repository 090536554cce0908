"""Tags, permissions and data protection policies: TagResource, UntagResource, ListTagsForResource and their like."""

import json


def tags_of(sns, arn):
    return {tag["Key"]: tag["Value"] for tag in sns.list_tags_for_resource(ResourceArn=arn)["Tags"]}


def test_tags_add_up_replace_and_go(sns, topic, refused):
    assert tags_of(sns, topic) == {}
    sns.tag_resource(ResourceArn=topic, Tags=[{"Key": "k1", "Value": "v1"}, {"Key": "k2", "Value": "v2"}])
    sns.tag_resource(ResourceArn=topic, Tags=[{"Key": "k2", "Value": "v2b"}])
    assert tags_of(sns, topic) == {"k1": "v1", "k2": "v2b"}
    sns.untag_resource(ResourceArn=topic, TagKeys=["k1", "never"])
    assert tags_of(sns, topic) == {"k2": "v2b"}
    with refused("InvalidParameter", "Invalid parameter: Duplicated keys are not allowed."):
        sns.tag_resource(ResourceArn=topic, Tags=[{"Key": "k1", "Value": "a"}, {"Key": "k1", "Value": "b"}])


def test_fifty_tags_and_no_more(sns, topic, refused):
    tags = [{"Key": f"k{number}", "Value": ""} for number in range(51)]
    with refused("TagLimitExceeded"):
        sns.tag_resource(ResourceArn=topic, Tags=tags)
    sns.tag_resource(ResourceArn=topic, Tags=tags[:50])
    assert len(tags_of(sns, topic)) == 50


def test_tags_of_awss_own(sns, topic, refused):
    with refused("InvalidParameter"):
        sns.tag_resource(ResourceArn=topic, Tags=[{"Key": "aws:k", "Value": ""}])


def test_what_is_not_there_has_no_tags(sns, topic, refused):
    with refused("ResourceNotFound", "Resource does not exist", 404):
        sns.list_tags_for_resource(ResourceArn=f"{topic}x")
    with refused("ResourceNotFound"):
        sns.tag_resource(ResourceArn=f"{topic}x", Tags=[{"Key": "k", "Value": "v"}])


def test_permissions_are_statements_of_the_policy(sns, topic, topic_attributes, refused):
    allow = {"TopicArn": topic, "AWSAccountId": ["123456789012"], "ActionName": ["Publish"]}
    sns.add_permission(Label="partner", **allow)
    statement = json.loads(topic_attributes(topic)["Policy"])["Statement"][-1]
    assert statement == {
        "Sid": "partner",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": "SNS:Publish",
        "Resource": topic,
    }
    with refused("InvalidParameter", "Invalid parameter: Statement already exists"):
        sns.add_permission(Label="partner", **allow)
    with refused("InvalidParameter", "Invalid parameter: Policy statement action out of service scope!"):
        sns.add_permission(Label="other", **(allow | {"ActionName": ["Fly"]}))
    with refused("InvalidParameter"):
        sns.add_permission(Label="other", **(allow | {"AWSAccountId": ["me"]}))
    sns.remove_permission(TopicArn=topic, Label="partner")
    assert [each["Sid"] for each in json.loads(topic_attributes(topic)["Policy"])["Statement"]] == [
        "__default_statement_ID"
    ]
    with refused("NotFound"):
        sns.remove_permission(TopicArn=f"{topic}x", Label="partner")
