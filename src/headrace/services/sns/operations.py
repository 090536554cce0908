"""The actions of Amazon SNS: one function each, found by its name."""

from headrace.services.sns.application_actions import (
    create_platform_application,
    delete_platform_application,
    get_platform_application_attributes,
    list_platform_applications,
    set_platform_application_attributes,
)
from headrace.services.sns.device_actions import (
    create_platform_endpoint,
    delete_endpoint,
    get_endpoint_attributes,
    list_endpoints_by_platform_application,
    set_endpoint_attributes,
)
from headrace.services.sns.owner_actions import (
    add_permission,
    list_tags_for_resource,
    remove_permission,
    tag_resource,
    untag_resource,
)
from headrace.services.sns.publishing import publish, publish_batch
from headrace.services.sns.sms_actions import (
    check_if_phone_number_is_opted_out,
    get_sms_attributes,
    get_sms_sandbox_account_status,
    list_origination_numbers,
    list_phone_numbers_opted_out,
    opt_in_phone_number,
    set_sms_attributes,
)
from headrace.services.sns.sms_sandbox import (
    create_sms_sandbox_phone_number,
    delete_sms_sandbox_phone_number,
    list_sms_sandbox_phone_numbers,
    verify_sms_sandbox_phone_number,
)
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
    "check_if_phone_number_is_opted_out",
    "confirm_subscription",
    "create_platform_application",
    "create_platform_endpoint",
    "create_sms_sandbox_phone_number",
    "create_topic",
    "delete_endpoint",
    "delete_platform_application",
    "delete_sms_sandbox_phone_number",
    "delete_topic",
    "get_data_protection_policy",
    "get_endpoint_attributes",
    "get_platform_application_attributes",
    "get_sms_attributes",
    "get_sms_sandbox_account_status",
    "get_subscription_attributes",
    "get_topic_attributes",
    "list_endpoints_by_platform_application",
    "list_origination_numbers",
    "list_phone_numbers_opted_out",
    "list_platform_applications",
    "list_sms_sandbox_phone_numbers",
    "list_subscriptions",
    "list_subscriptions_by_topic",
    "list_tags_for_resource",
    "list_topics",
    "opt_in_phone_number",
    "publish",
    "publish_batch",
    "put_data_protection_policy",
    "remove_permission",
    "set_endpoint_attributes",
    "set_platform_application_attributes",
    "set_sms_attributes",
    "set_subscription_attributes",
    "set_topic_attributes",
    "subscribe",
    "tag_resource",
    "unsubscribe",
    "untag_resource",
    "verify_sms_sandbox_phone_number",
]
