"""How much a shard takes and gives in a second. Pure: the time is given."""

from __future__ import annotations


class Bucket:
    """What may be used of something in a second, with what was saved up, at most a second's worth.

    Using may go into debt: a record of 10 MiB goes into a shard that takes 1 MiB a second, and then nothing until the
    debt is paid.
    """

    __slots__ = ("_at_ms", "_left", "_per_s")

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._left = float(per_s)
        self._at_ms = 0

    def left(self, now_ms: int) -> float:
        """How much is left now; negative while there is a debt."""
        if now_ms > self._at_ms:
            self._left = min(float(self._per_s), self._left + (now_ms - self._at_ms) * self._per_s / 1000)
            self._at_ms = now_ms
        return self._left

    def takes(self, amount: int, now_ms: int) -> bool:
        """Whether `amount` may be used now: it is there, or it is more than a second's worth and nothing is used."""
        return self.left(now_ms) >= min(amount, self._per_s)

    def use(self, amount: int, now_ms: int) -> None:
        """Use `amount`, whether or not it is there.

        AWS: what is larger than a second's worth uses up as many seconds as it is worth, with nothing saved up.
        """
        left = self.left(now_ms)
        self._left = (min(left, 0.0) if amount > self._per_s else left) - amount
