"""The actions of Amazon SNS: one function each, found by its name."""

from headrace.services.sns.owner_actions import (
    add_permission,
    list_tags_for_resource,
    remove_permission,
    tag_resource,
    untag_resource,
)
from headrace.services.sns.publishing import publish, publish_batch
from headrace.services.sns.subscribing import confirm_subscription, subscribe, unsubscribe
from headrace.services.sns.subscription_actions import (
    get_subscription_attributes,
    list_subscriptions,
    list_subscriptions_by_topic,
    set_subscription_attributes,
)
from headrace.services.sns.topic_actions import (
    create_topic,
    delete_topic,
    get_data_protection_policy,
    get_topic_attributes,
    list_topics,
    put_data_protection_policy,
    set_topic_attributes,
)

__all__ = [
    "add_permission",
    "confirm_subscription",
    "create_topic",
    "delete_topic",
    "get_data_protection_policy",
    "get_subscription_attributes",
    "get_topic_attributes",
    "list_subscriptions",
    "list_subscriptions_by_topic",
    "list_tags_for_resource",
    "list_topics",
    "publish",
    "publish_batch",
    "put_data_protection_policy",
    "remove_permission",
    "set_subscription_attributes",
    "set_topic_attributes",
    "subscribe",
    "tag_resource",
    "unsubscribe",
    "untag_resource",
]
