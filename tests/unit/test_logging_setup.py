import io
import json
import logging

import pytest
import structlog

from headrace.context import REQUEST_ID
from headrace.logging_setup import set_up_logging


@pytest.fixture(autouse=True)
def logging_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_lines_are_json_objects_where_nobody_looks():
    stream = io.StringIO()
    set_up_logging("info", "auto", stream)
    structlog.get_logger().info("queue created", queue="orders", handle=object)
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "queue created", "level": "info", "queue": "orders", "handle": "<class 'object'>"}


def test_lines_are_for_people_on_a_terminal():
    stream = Terminal()
    set_up_logging("info", "auto", stream)
    structlog.get_logger().info("queue created", queue="orders")
    assert "queue created" in stream.getvalue()
    with pytest.raises(ValueError, match=r"Expecting value|Extra data"):
        lines(stream)


def test_the_request_id_stands_in_every_line_of_its_request():
    stream = io.StringIO()
    set_up_logging("info", "json", stream)
    token = REQUEST_ID.set("r-1")
    structlog.get_logger().info("one")
    logging.getLogger("elsewhere").info("two %s", "halves")
    REQUEST_ID.reset(token)
    structlog.get_logger().info("three")
    assert [(line["event"], line.get("request_id")) for line in lines(stream)] == [
        ("one", "r-1"),
        ("two halves", "r-1"),
        ("three", None),
    ]


def test_a_failure_is_told_whole_in_one_line():
    stream = io.StringIO()
    set_up_logging("info", "json", stream)
    try:
        int("no good")
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("elsewhere").exception("failed there")
    for line in lines(stream):
        assert line["level"] == "error"
        assert "invalid literal for int() with base 10: 'no good'" in line["exception"]


@pytest.mark.parametrize("form", ["human", "json"])
def test_what_is_below_the_level_is_left_out(form):
    stream = io.StringIO()
    set_up_logging("warning", form, stream)
    structlog.get_logger().info("quiet")
    logging.getLogger("elsewhere").info("quiet")
    assert stream.getvalue() == ""
    structlog.get_logger().warning("loud")
    logging.getLogger("elsewhere").warning("loud")
    assert len(stream.getvalue().splitlines()) == 2
