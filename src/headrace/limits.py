"""Limits on the process itself; each service names AWS's limits in a `limits.py` of its own."""

from __future__ import annotations

from typing import Final

MAX_REQUEST_BYTES: Final = 16 * 1024 * 1024
"""Largest request body read. AWS: PutRecords takes 10 MiB of records, base64 makes that 13.4 MiB of JSON."""

START_PATIENCE_S: Final = 60.0
"""How long a server that starts tries again when its store does not answer: a cluster may be electing leaders."""

MAX_HEAD_BYTES: Final = 8 * 1024
"""Longest request line and headers of an HTTP/1.1 request; a longer one is answered 431.

With more, each connection's buffers grow by 12 KiB, which a thousand idle long polls would all hold.
"""

MAX_CONNECTIONS_WAITING: Final = 1024
"""Connections the listening socket holds until they are accepted."""

MAX_CONCURRENT_REQUESTS: Final = 20_000
"""Requests in progress at once, long polls included; more wait in the socket."""

MAX_STREAMS: Final = 4_096
"""Answers that are sent piece by piece at once; further ones wait. Each has a thread that waits for the next piece."""

MAX_CREDENTIAL_SCOPES: Final = 10_000
"""Parsed credential scopes kept, so that a caller's is parsed once."""

MAX_POLICIES_READ: Final = 1_000
"""Policies of resources that are kept parsed."""

MAX_POLICY_DECISIONS: Final = 5_000
"""Answers of policies that are kept: one for each resource, caller and permission."""

MAX_MEDIA_TYPES: Final = 256
"""Content-Type headers kept with the media type that each names."""

COLLECTED_OBJECTS: Final = 10_000
"""Objects made and not yet gone after which Python looks for cycles: a turn of the event loop has thousands of them."""
