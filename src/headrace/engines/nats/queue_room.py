"""How many messages a process may know at once: it keeps all that wait in its queues in memory, without bodies.

A process that were killed for want of memory would hand its queues on to the next, which would fare alike. So from half
of the machine's memory on (or of the container's) new messages are refused, to be sent again; all else goes on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

MESSAGE_BYTES: Final = 500
"""What a message takes in memory, generously: about 300 on a standard queue, 400 on a FIFO queue."""
SHARE: Final = 2
"""One in this many bytes of the memory may go to messages."""
CONTAINER: Final = Path("/sys/fs/cgroup/memory.max")
LEAST: Final = 1_000_000
"""Messages that are always allowed."""


def messages_allowed() -> int:
    """How many messages this process may know."""
    return max(LEAST, memory_bytes() // SHARE // MESSAGE_BYTES)


def memory_bytes() -> int:
    """The memory that there is for this process: the container's, or else the machine's."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(machine, int(CONTAINER.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return machine
