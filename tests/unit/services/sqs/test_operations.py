"""Every action of AWS's model has its function, every function its description, and none is more than that."""

from __future__ import annotations

import inspect

import botocore.session
import pytest
from botocore import xform_name

from headrace.services.sqs import operations

ACTIONS = [xform_name(name) for name in botocore.session.get_session().get_service_model("sqs").operation_names]


TOGETHER = ["send_message_together"]
"""Many calls of an action as one, for other services."""


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_of_the_model_has_a_function(name):
    assert inspect.iscoroutinefunction(getattr(operations, name))


def test_there_is_nothing_but_actions():
    known = [*ACTIONS, *TOGETHER, "resource_policy"]
    assert sorted(operations.__all__) == sorted(known)
    functions = {name for name, value in vars(operations).items() if inspect.isfunction(value)}
    assert functions == set(known)


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_is_described(name):
    description = inspect.getdoc(getattr(operations, name))
    assert description
    assert description.endswith(".")
