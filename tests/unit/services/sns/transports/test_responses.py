import pytest

from headrace.services.sns.transports import Verdict, responses
from headrace.services.sns.transports.responses import Answer

NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (301, Verdict.FAILED),
        (400, Verdict.FAILED),
        (404, Verdict.FAILED),
        (429, Verdict.RETRY),
        (500, Verdict.RETRY),
        (599, Verdict.RETRY),
        (101, Verdict.RETRY),
    ],
)
def test_what_a_status_means(status, verdict):
    outcome = responses.judge(Answer(status, {}, b"x" * 1000), NOW_MS)
    assert (outcome.verdict, outcome.status) == (verdict, status)
    assert len(outcome.response) == 256


@pytest.mark.parametrize(
    ("value", "wait_ms"),
    [
        ("120", 120_000),
        ("0", 0),
        ("999999999999", 86_400_000),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10_000),
        ("Tue, 14 Nov 2000 22:13:30 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_how_long_to_leave_it_alone(value, wait_ms):
    assert responses.judge(Answer(503, {"retry-after": value}), NOW_MS).retry_after_ms == wait_ms


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        ("http://a/b", "/c", "http://a/c"),
        ("http://a/b", "https://d/", "https://d/"),
        ("https://a/b", "http://a/b", None),
        ("http://a/b", "ftp://a/b", None),
        ("http://a/b", "http://a:99999/", None),
        ("http://a/b", "http://", None),
        ("http://a/b", "", None),
    ],
)
def test_where_a_redirect_leads(url, location, target):
    assert responses.redirect(Answer(307, {"location": location}), url) == target


def test_other_answers_lead_nowhere():
    assert responses.redirect(Answer(200, {"location": "/c"}), "http://a/b") is None


def test_origins():
    assert responses.same_origin("http://a/b", "http://a:80/c")
    assert not responses.same_origin("http://a/", "https://a/")
    assert not responses.same_origin("http://a/", "http://a:81/")
