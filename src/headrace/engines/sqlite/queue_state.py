"""What the engine keeps in memory of a queue: settings, counts, and who waits. No messages.

Counts stay exact without a timer a message by a cursor in time: rows due at or before `cursor_ms` are
counted visible, later ones hidden. `advance` moves the cursor to now and counts what came due on the
way, each row once in its hidden life; `next_due_ms` (never later than the earliest hidden row's due
time) tells when there is nothing to count.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from headrace.clock import Timer
from headrace.engines.sqlite.connection import Connection
from headrace.engines.sqlite.group_order import GroupOrder
from headrace.primitives.queues import QueueSettings

NEVER: Final = 1 << 62
"""A time that does not come."""
SEQUENCE_BLOCK: Final = 65_536
"""Sequences reserved with one update of the queue's row; those left at a crash are skipped."""

_OF_STANDARD: Final = "FROM messages INDEXED BY messages_by_due WHERE queue = ? AND grp IS NULL"
_OF_FIFO: Final = "FROM messages INDEXED BY messages_hidden WHERE queue = ? AND grp IS NOT NULL AND due_ms > sent_ms"
_COUNT, _FIFO_COUNT = (
    f"SELECT count(*), coalesce(sum(receive_count > 0), 0) {rows} AND due_ms > ? AND due_ms <= ?"
    for rows in (_OF_STANDARD, _OF_FIFO)
)
_NEXT_DUE, _FIFO_NEXT_DUE = (
    f"SELECT due_ms {rows} AND due_ms > ? ORDER BY due_ms LIMIT 1" for rows in (_OF_STANDARD, _OF_FIFO)
)
_CAME_DUE_BY_TENANT: Final = """
SELECT tenant, count(*) FROM messages
WHERE queue = ? AND grp IS NULL AND due_ms > ? AND due_ms <= ? AND receive_count > 0 AND tenant IS NOT NULL
GROUP BY tenant"""


class QueueState:
    """A queue that is open. Counts are right as of `cursor_ms`."""

    __slots__ = (
        "alarm",
        "alarm_ms",
        "cursor_ms",
        "delayed",
        "fair_cursor",
        "fifo",
        "groups_due_ms",
        "in_flight",
        "name",
        "next_due_ms",
        "next_expiry_ms",
        "next_sequence",
        "number",
        "order",
        "reserved_to",
        "settings",
        "stale",
        "tenants",
        "tenants_large",
        "visible",
        "waiters",
    )

    def __init__(self, name: str, number: int, settings: QueueSettings, next_sequence: int) -> None:
        self.name = name
        self.number = number
        self.settings = settings
        self.fifo = settings.fifo
        self.order = GroupOrder(number)
        """Which messages each group holds (FIFO)."""
        self.next_sequence = next_sequence
        self.reserved_to = next_sequence
        self.stale = False
        self.visible = 0
        self.in_flight = 0
        self.delayed = 0
        self.cursor_ms = 0
        self.next_due_ms = NEVER
        self.groups_due_ms = 0
        """No group is free to be handed out before this (FIFO)."""
        self.next_expiry_ms = 0
        """No message expires before this."""
        self.tenants: dict[str, int] = {}
        """Messages in flight by tenant (standard queues)."""
        self.tenants_large: set[str] = set()
        """Tenants with as many in flight as may count as a large share."""
        self.fair_cursor = ""
        self.waiters: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        """Receives that wait, the longest first."""
        self.alarm: Timer | None = None
        self.alarm_ms = NEVER

    @property
    def total(self) -> int:
        """All messages, whatever their state."""
        return self.visible + self.in_flight + self.delayed

    def advance(self, connection: Connection, now_ms: int) -> int:
        """Bring the counts to `now_ms`; the time to go by, which never runs backwards."""
        if now_ms <= self.cursor_ms:
            return self.cursor_ms
        if now_ms >= self.next_due_ms:
            span = (self.number, self.cursor_ms, now_ms)
            came_due, received = connection.execute(_FIFO_COUNT if self.fifo else _COUNT, span).fetchone()
            self.visible += came_due
            self.in_flight -= received
            self.delayed -= came_due - received
            if self.tenants:
                for tenant, count in connection.execute(_CAME_DUE_BY_TENANT, span):
                    self.count_tenant(tenant, -count)
            self.next_due_ms = self._find_next_due(connection, now_ms)
        self.cursor_ms = now_ms
        return now_ms

    def _find_next_due(self, connection: Connection, now_ms: int) -> int:
        select = _FIFO_NEXT_DUE if self.fifo else _NEXT_DUE
        return connection.execute(select, (self.number, now_ms)).get or NEVER

    def count_all(self, connection: Connection, now_ms: int) -> None:
        """Count the queue's messages as they are at `now_ms`."""
        self.cursor_ms = now_ms
        hidden = (self.number, now_ms, NEVER)
        if self.fifo:
            total = self.order.load(connection)
        else:
            total, _ = connection.execute(_COUNT, (self.number, -1, NEVER)).fetchone()
            for tenant, count in connection.execute(_CAME_DUE_BY_TENANT, hidden):
                self.count_tenant(tenant, count)
        later, self.in_flight = connection.execute(_FIFO_COUNT if self.fifo else _COUNT, hidden).fetchone()
        self.visible, self.delayed = total - later, later - self.in_flight
        self.next_due_ms = self._find_next_due(connection, now_ms)

    def count_row(self, due_ms: int, receive_count: int, tenant: str | None, by: int) -> None:
        """Count a row of this due time and receive count in (`by` 1) or out (-1)."""
        if due_ms <= self.cursor_ms:
            self.visible += by
        elif receive_count:
            self.in_flight += by
            if tenant is not None:
                self.count_tenant(tenant, by)
        else:
            self.delayed += by
        if by > 0 and self.cursor_ms < due_ms < self.next_due_ms:
            self.next_due_ms = due_ms

    def count_tenant(self, tenant: str, by: int) -> None:
        """Change how many messages of the tenant are in flight."""
        count = self.tenants.get(tenant, 0) + by
        if count > 0:
            self.tenants[tenant] = count
        else:
            self.tenants.pop(tenant, None)
        if count >= FAIR_MIN_IN_FLIGHT:
            self.tenants_large.add(tenant)
        else:
            self.tenants_large.discard(tenant)

    def noisy(self) -> set[str]:
        """Tenants that hold so large a share of what is in flight that others go first."""
        return {t for t in self.tenants_large if self.tenants[t] * FAIR_SHARE > self.in_flight}

    def sequences(self, connection: Connection, count: int) -> int:
        """The first of `count` sequences never given before."""
        first = self.next_sequence
        self.next_sequence = first + count
        if self.next_sequence > self.reserved_to:
            self.reserved_to = self.next_sequence + SEQUENCE_BLOCK
            connection.execute("UPDATE queues SET next_sequence = ? WHERE number = ?", (self.reserved_to, self.number))
        return first

    def room(self) -> int:
        """How many more messages may be in flight, as of the cursor."""
        limit = self.settings.max_in_flight
        return max(0, limit - self.in_flight) if limit else NEVER

    def available_ms(self) -> int:
        """When there may next be something to hand out, as far as is known."""
        if not self.room():
            return self.next_due_ms
        if self.fifo:
            return self.groups_due_ms
        return self.cursor_ms if self.visible else self.next_due_ms


FAIR_MIN_IN_FLIGHT: Final = 2
"""A tenant with fewer messages in flight is always quiet."""
FAIR_SHARE: Final = 10
"""A tenant with more than one in this many of the messages in flight is noisy."""


def load(connection: Connection, name: str, number: int, settings: QueueSettings, now_ms: int) -> QueueState:
    """A queue that lies in the database, opened at `now_ms`."""
    (next_sequence,) = connection.execute("SELECT next_sequence FROM queues WHERE number = ?", (number,)).fetchone()
    state = QueueState(name, number, settings, next_sequence)
    state.count_all(connection, now_ms)
    return state
