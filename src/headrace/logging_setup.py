"""Log lines: for people on a terminal, JSON objects otherwise, one a line, to standard error.

What structlog and the standard library's `logging` are told comes out the same way. Whatever is bound in
structlog's context variables while a request is handled, its request id above all, stands in every line.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import orjson
import structlog

from headrace.settings import LogFormat, LogLevel

Event = MutableMapping[str, Any]


def set_up_logging(level: LogLevel, form: LogFormat, stream: TextIO | None = None) -> None:
    """Send everything at or above `level` to `stream` (standard error), in this form; `auto` looks for a terminal."""
    stream = stream or sys.stderr
    human = form == "human" or (form == "auto" and stream.isatty())
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    render = _human(stream) if human else [structlog.processors.format_exc_info, _as_json]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render], foreign_pre_chain=shared
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(threshold, logging.INFO))


def _human(stream: TextIO) -> list[structlog.typing.Processor]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=36
        )
    ]


def _as_json(_logger: Any, _method: str, event: Event) -> str:
    """One JSON object; whatever JSON has no type for goes out as its text."""
    return orjson.dumps(event, default=str).decode()
