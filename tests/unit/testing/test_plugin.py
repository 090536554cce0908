"""The fixture, in test suites of somebody else; `tests/tidy/test_examples.py` runs the documented example."""

import pytest

SEPARATE = """
import pytest

@pytest.mark.parametrize("turn", range(3))
def test_each_test_starts_with_nothing(headrace, turn):
    sqs = headrace.client("sqs")
    assert "QueueUrls" not in sqs.list_queues()
    sqs.create_queue(QueueName="orders", Attributes={"DelaySeconds": str(turn)})

def test_the_server_is_the_same(headrace, headrace_server):
    assert headrace is headrace_server
    assert headrace.endpoint_url.startswith("http://127.0.0.1:")
"""

SETTINGS = """
import pytest

@pytest.fixture(scope="session")
def headrace_settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("headrace") / "resources.yaml"
    path.write_text("queues: {orders: }")
    return {"resources": str(path), "quotas": "none"}

@pytest.mark.parametrize("turn", range(2))
def test_the_file_s_queues_are_always_there(headrace, turn):
    (url,) = headrace.client("sqs").list_queues()["QueueUrls"]
    assert url == f"{headrace.endpoint_url}/000000000000/orders"
"""


@pytest.mark.parametrize(("source", "passed"), [(SEPARATE, 4), (SETTINGS, 2)])
def test_the_fixture(pytester: pytest.Pytester, source: str, passed: int):
    pytester.makepyfile(source)
    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:asyncio", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=passed)


def test_a_suite_that_does_not_ask_for_it_does_not_pay(pytester: pytest.Pytester):
    pytester.makepyfile("""
        import sys

        def test_nothing_is_loaded():
            assert not {"headrace.app", "boto3", "botocore", "apsw", "granian"} & set(sys.modules)
    """)
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=1)
