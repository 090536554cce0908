"""The one error an operation raises to answer a caller, and the few that every service shares."""

from __future__ import annotations

from typing import Any


class ServiceError(Exception):
    """An answer other than success, as the caller is to see it.

    `code` is the error shape's name in the service model (`QueueDoesNotExist`) or, for errors no
    model lists, the bare code (`InvalidParameterValue`). The codec turns it into the wire's form
    (JSON `__type`, `x-amzn-query-error`, Query XML). `status` overrides the HTTP status the model
    and overlays give; `fields` are further members of a modeled error shape.
    """

    def __init__(
        self, code: str, message: str, *, status: int | None = None, fields: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields or {}

    def __repr__(self) -> str:
        return f"ServiceError({self.code!r}, {self.message!r})"


class StorageError(Exception):
    """The engine could not do what was asked, and nothing of it was kept.

    The pipeline answers 503 `ServiceUnavailable` with this message; the caller may retry.
    """


class StorageUnavailable(StorageError):
    """The store did not answer; it may a moment later. Whether what was asked for was done is not known."""


class StorageFull(StorageError):
    """No room left on the device that holds the data."""


class StorageReadOnly(StorageError):
    """The data directory cannot be written."""


class StorageLocked(StorageError):
    """Another process has the data directory open."""


class StorageCorrupt(StorageError):
    """The data file is damaged, or is not Headrace's."""
