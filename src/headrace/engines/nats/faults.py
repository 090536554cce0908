"""What can go wrong with NATS, as errors that say what to do; all are StorageError, which callers see as 503."""

from __future__ import annotations

from headrace.errors import StorageError, StorageFull, StorageUnavailable


class Unavailable(StorageUnavailable):
    """No answer from NATS: no server reachable, the connection lost, or no answer in time.

    Whether a change that was asked for was made is not known.
    """


class NoResponders(Unavailable):
    """Nobody listens on the subject: JetStream is off or without a leader, or the stream does not exist."""


class TooLarge(StorageError):
    """More than the server's `max_payload` in one message."""


class ApiError(StorageError):
    """JetStream refused a request; `code` is its HTTP-like status, `error` its own number (`err_code`)."""

    def __init__(self, code: int, error: int, description: str) -> None:
        super().__init__(f"NATS JetStream refused this: {description} ({error}).")
        self.code = code
        self.error = error
        self.description = description


class NoRoom(ApiError, StorageFull):
    """JetStream has no room left: the disk, the account's limit or the stream's is full."""

    def __init__(self, code: int, error: int, description: str) -> None:
        super().__init__(code, error, description)
        self.args = (f"NATS has no room left: make some, or raise its limits ({description}, {error}).",)
