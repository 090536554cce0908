import types

import pytest

from headrace.app import OPERATIONS
from headrace.errors import ServiceError
from headrace.wire.catalog import Catalog, read_service


def test_every_operation_of_the_model_is_found_by_its_target(served):
    sqs = served.services["sqs"]
    assert len(sqs.operations) == 23
    assert served.targets["AmazonSQS.SendMessage"] is sqs.operation("SendMessage")
    assert served.service_of_target("AmazonSQS.Nothing") is sqs
    assert served.service_of_target("Nobody.SendMessage") is None


def test_functions_are_found_by_their_snake_case_names():
    operations = types.ModuleType("operations")
    operations.list_message_move_tasks = object()
    service = read_service("sqs", operations)
    assert service.operation("ListMessageMoveTasks").action is operations.list_message_move_tasks


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_needs_leave_of_a_policy_has_a_way_to_it(name):
    service = read_service(name, OPERATIONS[name])
    asked = {operation.name: operation.permission for operation in service.operations.values() if operation.permission}
    assert asked == service.overlay.permissions
    assert bool(asked) == (service.resource_policy is not None)


async def test_an_operation_without_a_function_is_not_supported(served):
    with pytest.raises(ServiceError, match="SendMessage of Amazon Simple Queue Service") as refused:
        await served.services["sqs"].operation("SendMessage").action(None, {})
    assert refused.value.code == "UnsupportedOperation"


def test_an_operation_that_the_model_does_not_have_is_unknown(served):
    with pytest.raises(ServiceError) as refused:
        served.services["sqs"].operation("Nothing")
    assert refused.value.code == "UnknownOperationException"


def test_a_service_that_botocore_does_not_know_cannot_be_served():
    with pytest.raises(FileNotFoundError):
        Catalog({"nothing": types.ModuleType("operations")})


def test_the_overlay_gives_the_query_protocols_names(served):
    sqs = served.services["sqs"]
    send = sqs.operation("SendMessageBatch").input.members["Entries"]
    assert (send.query_name, send.shape.flattened) == ("SendMessageBatchRequestEntry", True)
    attributes = send.shape.member.members["MessageAttributes"]
    assert (attributes.query_name, attributes.shape.key_name, attributes.shape.value_name) == (
        "MessageAttribute",
        "Name",
        "Value",
    )
    tags = sqs.operation("TagQueue").input.members["Tags"]
    assert (tags.query_name, tags.shape.key_name) == ("Tag", "Key")
    assert sqs.operation("ReceiveMessage").result_wrapper == "ReceiveMessageResult"
    assert sqs.operation("DeleteMessage").result_wrapper == ""


def test_a_flattened_member_of_a_shape_that_is_not_flattened(served):
    value = served.services["sqs"].operation("SendMessage").input.members["MessageAttributes"].shape.value
    strings = value.members["StringListValues"]
    assert (strings.query_name, strings.shape.flattened) == ("StringListValue", True)


def test_every_name_in_the_overlay_is_in_the_model(served):
    """A misspelt name would be passed over in silence."""
    service = served.services["sqs"]
    structures, lists, maps = {}, set(), set()

    def walk(shape):
        if shape.kind == "structure" and shape.name not in structures:
            structures[shape.name] = shape
            for member in shape.members.values():
                walk(member.shape)
        elif shape.kind == "list":
            lists.add(shape.name)
            walk(shape.member)
        elif shape.kind == "map":
            maps.add(shape.name)
            walk(shape.value)

    for operation in service.operations.values():
        walk(operation.input)
        walk(operation.output)
    overlay = service.overlay
    assert overlay.elements.keys() == lists
    assert overlay.entries.keys() == maps
    assert overlay.lenient <= structures.keys()
    assert overlay.members.keys() <= structures.keys()
    for name, members in overlay.members.items():
        assert members.keys() <= structures[name].members.keys()
    assert service.errors <= overlay.errors.keys()
    assert overlay.path_member in service.operation("SendMessage").input.members


def test_representations_are_short(served):
    operation = served.services["sqs"].operation("SendMessage")
    assert repr(operation) == "Operation(sqs SendMessage)"
    assert repr(operation.service) == "Service(sqs)"
    assert repr(operation.input) == "Shape(structure SendMessageRequest)"
