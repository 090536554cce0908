"""Ids that many are made of."""

from __future__ import annotations

import random


def random_uuid() -> str:
    """A random UUID (version 4, RFC 9562): nobody has to be kept from guessing it, as `uuid.uuid4` would see to."""
    digits = random.getrandbits(128).to_bytes(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
