"""How many records there are under a prefix: counted once, and from then on by what the watch tells."""

from __future__ import annotations

from typing import Final

from headrace.primitives.metadata import Change, Metadata
from headrace.services.sns import limits
from headrace.services.sns.rules import FIFO_SUFFIX

_PAGE: Final = 1000


class Census:
    """Counts records by prefix, for quotas. What is counted is held in memory by its key, up to AWS's quotas."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._keys: dict[str, set[str]] = {}

    async def count(self, prefix: str, *, fifo: bool | None = None) -> int:
        """How many keys start with `prefix`, which ends with a slash; only those of FIFO topics, or of all others."""
        keys = self._keys.get(prefix)
        if keys is None:
            if len(self._keys) >= limits.COUNTS_CACHED:
                self._keys.clear()
            keys = self._keys[prefix] = set()
            after = ""
            while entries := await self._metadata.list(prefix, after=after, max_entries=_PAGE):
                # What was deleted while the pages were read may be counted: a quota is no exact science.
                keys.update(entry.key for entry in entries)
                after = entries[-1].key
        return len(keys) if fifo is None else sum(key.endswith(FIFO_SUFFIX) == fifo for key in keys)

    def changed(self, change: Change) -> None:
        """A record came or went."""
        parts = change.key.split("/")
        keys = self._keys.get("/".join(parts[:4]) + "/")  # sns/region/account/kind/
        if keys is None:
            return
        if change.entry is None:
            keys.discard(change.key)
        else:
            keys.add(change.key)

    def clear(self) -> None:
        """Forget all counts."""
        self._keys.clear()
