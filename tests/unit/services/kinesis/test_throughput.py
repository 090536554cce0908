"""What may be used in a second."""

from headrace.services.kinesis.throughput import Bucket


def test_a_second_s_worth_is_there_and_comes_back():
    bucket = Bucket(1000)
    assert bucket.takes(1000, 5_000)
    bucket.use(1000, 5_000)
    assert not bucket.takes(1, 5_000)
    assert bucket.takes(500, 5_500)
    assert not bucket.takes(501, 5_500)
    assert bucket.takes(1000, 6_000)


def test_no_more_than_a_second_s_worth_is_saved_up():
    bucket = Bucket(10)
    bucket.use(10, 1_000)
    assert bucket.left(1_000_000) == 10


def test_what_is_larger_than_a_second_s_worth_is_taken_when_nothing_is_used_and_then_paid_for():
    bucket = Bucket(1000)
    assert bucket.takes(5000, 10_000)
    bucket.use(5000, 10_000)
    assert not bucket.takes(1, 14_999)
    assert bucket.left(15_000) == 0
    assert bucket.takes(1000, 16_000)


def test_it_is_not_taken_when_something_is_used():
    bucket = Bucket(1000)
    bucket.use(1, 10_000)
    assert not bucket.takes(5000, 10_000)


def test_time_that_stands_or_goes_back_gives_nothing():
    bucket = Bucket(10)
    bucket.use(10, 1_000)
    assert bucket.left(1_000) == 0
    assert bucket.left(500) == 0
