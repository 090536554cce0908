"""Every AWS action of a served service is an operation, documented, with one row in the README that tells the truth.

The README has a table for each service, under a heading of its own.
"""

import importlib
import inspect
import re
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

SERVICES = {"kinesis": "Amazon Kinesis Data Streams", "sns": "Amazon SNS", "sqs": "Amazon SQS"}
"""Each served service, with the heading its table in the README stands under."""


def actions(service: str) -> list[str]:
    """The service's actions, by its model."""
    return list(botocore.session.get_session().get_service_model(service).operation_names)


def operations(service: str):
    """The operations that the service's module has, by name."""
    module = importlib.import_module(f"headrace.services.{service}.operations")
    return {xform_name(action): getattr(module, xform_name(action), None) for action in actions(service)}


@pytest.fixture
def rows(root: Path, service: str) -> dict[str, tuple[str, str]]:
    """The service's table in the README: action to what works and the notes. An action that stands twice fails here."""
    sections = re.split(r"^#+ ", (root / "README.md").read_text(), flags=re.MULTILINE)
    section = next(text for text in sections if text.startswith(f"{SERVICES[service]}\n"))
    rows: dict[str, tuple[str, str]] = {}
    for line in section.splitlines():
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


@pytest.mark.parametrize("service", SERVICES)
def test_every_action_is_called_over_a_socket(root: Path, service):
    """By name, in a test that uses boto3."""
    sdk = root / "tests" / "sdk"
    tests = [*sdk.glob(f"test_{service}_*.py"), *sdk.glob(f"{service}*/*.py")]
    tests += sdk.glob("stream_queues/*.py") if service == "kinesis" else []
    text = "\n".join(test.read_text() for test in tests)
    called = set(re.findall(r"\.([a-z_]+)\b|\"([a-z_]+)\"", text))
    names = {name for pair in called for name in pair}
    assert [name for name, operation in operations(service).items() if operation and name not in names] == []
