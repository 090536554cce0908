"""Log lines: for people on a terminal, JSON objects otherwise, one a line, to standard error.

What structlog and the standard library's `logging` are told comes out the same way. A line written while a
request is answered has its request id.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import orjson
import structlog

from headrace.context import REQUEST_ID
from headrace.settings import LogFormat, LogLevel

Event = MutableMapping[str, Any]


def set_up_logging(level: LogLevel, form: LogFormat, stream: TextIO | None = None) -> None:
    """Send everything at or above `level` to `stream` (standard error), in this form; `auto` looks for a terminal."""
    stream = stream or sys.stderr
    set_up_structlog(level, form, stream)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(form, stream)],
            foreign_pre_chain=_shared(),
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(_threshold(level), logging.INFO))


def set_up_structlog(level: LogLevel, form: LogFormat, stream: TextIO) -> None:
    """The same for structlog alone: for a process whose `logging` is somebody else's, as a test's is."""
    structlog.configure(
        processors=[*_shared(), *_rendering(form, stream)],
        wrapper_class=structlog.make_filtering_bound_logger(_threshold(level)),
        logger_factory=structlog.PrintLoggerFactory(stream),
    )


def _threshold(level: LogLevel) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _shared() -> list[structlog.typing.Processor]:
    return [
        add_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def add_request_id(_logger: Any, _method: str, event: Event) -> Event:
    """Say which request a line is about, when it is written while one is answered."""
    request_id = REQUEST_ID.get(None)
    if request_id is not None:
        event.setdefault("request_id", request_id)
    return event


def _rendering(form: LogFormat, stream: TextIO) -> list[structlog.typing.Processor]:
    if form == "human" or (form == "auto" and stream.isatty()):
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain, pad_event_to=36)]
    return [structlog.processors.format_exc_info, _as_json]


def _as_json(_logger: Any, _method: str, event: Event) -> str:
    """One JSON object; whatever JSON has no type for goes out as its text."""
    return orjson.dumps(event, default=str).decode()
