import json

import pytest

from headrace.services.sns import replay_policy

NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def text(**members):
    return json.dumps(members)


def test_points_are_times():
    policy = text(
        StartingPoint="2025-12-31T23:00:00.500Z", EndingPoint="2026-01-01T01:00:00+01:00", PointType="Timestamp"
    )
    assert replay_policy.problem(policy, NOW_MS) is None
    assert replay_policy.parse(policy) == replay_policy.Replay(NOW_MS - 3_599_500, NOW_MS)
    assert replay_policy.parse(text(StartingPoint="2025-12-31T23:00:00")) == replay_policy.Replay(
        NOW_MS - 3_600_000, None
    )


@pytest.mark.parametrize(
    "policy",
    [
        "no JSON",
        "[]",
        "{}",
        text(EndingPoint="2025-12-31T23:00:00Z"),
        text(StartingPoint=1),
        text(StartingPoint="yesterday"),
        text(StartingPoint="2026-01-01T00:00:01Z"),
        text(StartingPoint="2024-12-31T23:00:00Z"),
        text(StartingPoint="2025-12-31T23:00:00Z", EndingPoint="2025-12-31T22:00:00Z"),
        text(StartingPoint="2025-12-31T23:00:00Z", EndingPoint=None),
        text(StartingPoint="2025-12-31T23:00:00Z", PointType="Sequence"),
        text(StartingPoint="2025-12-31T23:00:00Z", Other=1),
    ],
)
def test_policies_that_are_none(policy):
    assert replay_policy.problem(policy, NOW_MS)


def test_times_are_shown_to_the_millisecond():
    assert replay_policy.show(NOW_MS + 5) == "2026-01-01T00:00:00.005Z"
