import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.services.sns import delivery_policy as policies
from headrace.services.sns.delivery_policy import MANAGED, PEOPLE, Retries

HEALTHY = {"minDelayTarget": 5, "maxDelayTarget": 50, "numRetries": 20}
FUNCTIONS = ("linear", "arithmetic", "geometric", "exponential")


class Refused(Exception):
    pass


def problem_of(check, policy):
    with pytest.raises(Refused) as caught:
        check(policy if isinstance(policy, str) else json.dumps(policy), Refused)
    return str(caught.value)


def test_nothing_set_is_awss_default():
    effective = policies.effective_topic(None)["http"]
    assert effective["defaultHealthyRetryPolicy"]["numRetries"] == 3
    assert effective["defaultRequestPolicy"] == {"headerContentType": "text/plain; charset=UTF-8"}
    assert effective["disableSubscriptionOverrides"] is False
    assert policies.effective_subscription(None, None) == {
        "healthyRetryPolicy": effective["defaultHealthyRetryPolicy"],
        "sicklyRetryPolicy": None,
        "throttlePolicy": None,
        "requestPolicy": effective["defaultRequestPolicy"],
        "guaranteed": False,
    }


def test_a_subscription_goes_before_its_topic_unless_the_topic_forbids():
    own = json.dumps({"healthyRetryPolicy": HEALTHY, "throttlePolicy": {"maxReceivesPerSecond": 7}})
    topic = {"http": {"defaultThrottlePolicy": {"maxReceivesPerSecond": 3}}}
    found = policies.effective_subscription(json.dumps(topic), own)
    assert found["healthyRetryPolicy"] | HEALTHY == found["healthyRetryPolicy"]
    assert found["throttlePolicy"] == {"maxReceivesPerSecond": 7}
    topic["http"]["disableSubscriptionOverrides"] = True
    found = policies.effective_subscription(json.dumps(topic), own)
    assert (found["healthyRetryPolicy"]["numRetries"], found["throttlePolicy"]) == (3, {"maxReceivesPerSecond": 3})


def test_the_manner_of_an_http_endpoint():
    own = {
        "healthyRetryPolicy": {
            "numRetries": 10, "numNoDelayRetries": 1, "numMinDelayRetries": 2, "numMaxDelayRetries": 3,
            "minDelayTarget": 1, "maxDelayTarget": 9, "backoffFunction": "linear",
        },
        "throttlePolicy": {"maxReceivesPerSecond": 5},
        "requestPolicy": {"headerContentType": "application/json"},
    }  # fmt: skip
    assert policies.check_subscription(json.dumps(own), Refused) == json.dumps(own)
    manner = policies.manner("https", None, json.dumps(own))
    assert (manner.max_receives_per_second, manner.content_type) == (5, "application/json")
    delays = [manner.retries.delay_ms(retry) for retry in range(1, 12)]
    assert delays == [0, 1000, 1000, 1000, 3667, 6333, 9000, 9000, 9000, 9000, None]


@pytest.mark.parametrize(
    ("protocol", "retries"), [("sqs", MANAGED), ("sms", PEOPLE), ("email", PEOPLE), ("application", PEOPLE)]
)
def test_other_protocols_have_fixed_schedules(protocol, retries):
    assert policies.manner(protocol, None, None).retries == retries


def test_the_fixed_schedules_are_as_long_as_aws_says():
    managed = sum(MANAGED.delay_ms(retry) for retry in range(1, MANAGED.count + 1))
    assert MANAGED.count == 100_015
    assert managed // 86_400_000 == 23
    assert PEOPLE.count == 50
    assert sum(PEOPLE.delay_ms(retry) for retry in range(1, 51)) > 6 * 3_600_000


@pytest.mark.parametrize("function", FUNCTIONS)
@given(steps=st.integers(1, 100), low=st.integers(1, 3600), more=st.integers(0, 3600))
def test_backoff_grows_from_the_shortest_delay_to_the_longest(function, steps, low, more):
    retries = Retries(0, 0, steps, 0, low * 1000, (low + more) * 1000, function)
    delays = [retries.delay_ms(retry) for retry in range(1, steps + 1)]
    assert delays == sorted(delays)
    assert delays[0] == retries.min_delay_ms
    assert delays[-1] == (retries.max_delay_ms if steps > 1 else retries.min_delay_ms)
    assert retries.delay_ms(steps + 1) is None


def test_the_functions_are_ordered_by_their_patience():
    def halfway(function):
        return Retries(0, 0, 11, 0, 5_000, 260_000, function).delay_ms(6)

    assert halfway("exponential") < halfway("geometric") < halfway("arithmetic") < halfway("linear")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"minDelayTarget": 0}, "healthyRetryPolicy.minDelayTarget must be greater than or equal to 1"),
        ({"maxDelayTarget": 3601}, "healthyRetryPolicy.maxDelayTarget must be less than or equal to 3600"),
        ({"numRetries": 101}, "healthyRetryPolicy.numRetries must be less than or equal to 100"),
        ({"numRetries": True}, "healthyRetryPolicy.numRetries must be an integer"),
        ({"numRetries": None}, "healthyRetryPolicy.numRetries must be specified"),
        ({"numNoDelayRetries": -1}, "healthyRetryPolicy.numNoDelayRetries must be greater than or equal to 0"),
        ({"numMinDelayRetries": 21}, "healthyRetryPolicy.numRetries must be greater than or equal to the sum"),
        ({"maxDelayTarget": 4}, "healthyRetryPolicy.maxDelayTarget must be greater than or equal to minDelayTarget"),
        ({"backoffFunction": "cubic"}, "healthyRetryPolicy.backoffFunction must be one of arithmetic"),
        ({"patience": 1}, "Unexpected JSON member: healthyRetryPolicy.patience"),
        ({"maxDelayTarget": 3600, "numMaxDelayRetries": 2}, "healthyRetryPolicy must not take more than 3600 seconds"),
    ],
)
def test_retry_policies_that_are_refused(change, said):
    assert problem_of(policies.check_subscription, {"healthyRetryPolicy": HEALTHY | change}).startswith(
        f"DeliveryPolicy: {said}"
    )


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("no JSON", "failed to parse JSON."),
        ("[" * 100_000, "failed to parse JSON."),
        ([], "failed to parse JSON."),
        ({"https": {}}, "Unexpected JSON member: https"),
        ({"http": 5}, "http must be a JSON object"),
        (
            {"http": {"defaultHealthyRetryPolicy": {}}},
            "http.defaultHealthyRetryPolicy.minDelayTarget must be specified",
        ),
        ({"http": {"defaultThrottlePolicy": {"maxReceivesPerSecond": 0}}}, "http.defaultThrottlePolicy.maxReceives"),
        ({"http": {"disableSubscriptionOverrides": "yes"}}, "http.disableSubscriptionOverrides must be true or false"),
        ({"http": {"defaultSicklyRetryPolicy": {}}}, "http.defaultSicklyRetryPolicy must be null"),
        (
            {"http": {"defaultRequestPolicy": {"headerContentType": "text/plain\r\nx: y"}}},
            "http.defaultRequestPolicy.headerContentType must be one of",
        ),
        ({"http": {"defaultRequestPolicy": {"headerContentType": 5}}}, "http.defaultRequestPolicy.headerContentType"),
    ],
)
def test_topic_policies_that_are_refused(policy, said):
    assert problem_of(policies.check_topic, policy).startswith(f"DeliveryPolicy: {said}")


def test_null_is_as_good_as_absent():
    policy = json.dumps({"http": {"defaultHealthyRetryPolicy": None, "defaultThrottlePolicy": None}})
    assert policies.check_topic(policy, Refused) == policy
    assert policies.effective_topic(policy) == policies.effective_topic(None)
