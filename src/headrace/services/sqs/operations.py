"""The actions of Amazon SQS: one function each, found by its name."""

from headrace.services.sqs.owner_actions import (
    add_permission,
    list_queue_tags,
    remove_permission,
    tag_queue,
    untag_queue,
)
from headrace.services.sqs.queue_actions import (
    create_queue,
    delete_queue,
    get_queue_attributes,
    get_queue_url,
    list_queues,
    purge_queue,
    set_queue_attributes,
)
from headrace.services.sqs.receiving import receive_message
from headrace.services.sqs.redrive_actions import (
    cancel_message_move_task,
    list_dead_letter_source_queues,
    list_message_move_tasks,
    start_message_move_task,
)
from headrace.services.sqs.sending import resource_policy, send_message, send_message_batch, send_message_together
from headrace.services.sqs.settling import (
    change_message_visibility,
    change_message_visibility_batch,
    delete_message,
    delete_message_batch,
)

__all__ = [
    "add_permission",
    "cancel_message_move_task",
    "change_message_visibility",
    "change_message_visibility_batch",
    "create_queue",
    "delete_message",
    "delete_message_batch",
    "delete_queue",
    "get_queue_attributes",
    "get_queue_url",
    "list_dead_letter_source_queues",
    "list_message_move_tasks",
    "list_queue_tags",
    "list_queues",
    "purge_queue",
    "receive_message",
    "remove_permission",
    "resource_policy",
    "send_message",
    "send_message_batch",
    "send_message_together",
    "set_queue_attributes",
    "start_message_move_task",
    "tag_queue",
    "untag_queue",
]
