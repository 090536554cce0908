"""Every AWS action of a served service is an operation, documented, with one row in the README that tells the truth."""

import importlib
import inspect
import re
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

SERVICES = ["sqs"]


def actions(service: str) -> list[str]:
    """The service's actions, by its model."""
    return list(botocore.session.get_session().get_service_model(service).operation_names)


def operations(service: str):
    """The operations that the service's module has, by name."""
    module = importlib.import_module(f"headrace.services.{service}.operations")
    return {xform_name(action): getattr(module, xform_name(action), None) for action in actions(service)}


@pytest.fixture(scope="module")
def rows(root: Path) -> dict[str, tuple[str, str]]:
    """The README's feature table: action to what works and the notes. An action that stands twice fails here."""
    rows: dict[str, tuple[str, str]] = {}
    for line in (root / "README.md").read_text().splitlines():
        if match := re.fullmatch(r"\| `([A-Z]\w+)` \| (\w+) \|(.*)\|", line):
            assert match[1] not in rows, f"{match[1]} has two rows"
            rows[match[1]] = (match[2], match[3].strip())
    return rows


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_is_documented(service):
    for name, operation in operations(service).items():
        if operation is not None:
            assert inspect.iscoroutinefunction(operation), name
            assert list(inspect.signature(operation).parameters) == ["ctx", "params"], name
            assert (inspect.getdoc(operation) or "").strip(), name


@pytest.mark.parametrize("service", SERVICES)
def test_the_readme_has_one_row_for_every_action(service, rows):
    assert sorted(rows) == sorted(actions(service))


@pytest.mark.parametrize("service", SERVICES)
def test_the_readme_says_what_works(service, rows):
    claimed = {action: said == "yes" for action, (said, _) in rows.items()}
    found = {action: operations(service)[xform_name(action)] is not None for action in actions(service)}
    assert claimed == found
