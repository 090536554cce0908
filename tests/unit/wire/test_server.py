import resource

import pytest

from headrace import limits
from headrace.wire.server import SPARE_FILES, allow_connections

WANTED = limits.MAX_CONCURRENT_REQUESTS + SPARE_FILES
ENDLESS = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "raised"),
    [
        (1024, ENDLESS, [(WANTED, ENDLESS)]),
        (1024, 4096, [(4096, 4096)]),
        (1024, 10**6, [(WANTED, 10**6)]),
        (WANTED, 10**6, []),
        (4096, 4096, []),
        (ENDLESS, ENDLESS, []),
    ],
)
def test_open_files_are_allowed_for_all_connections(monkeypatch, soft, hard, raised):
    given = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, both: given.append(both))
    allow_connections()
    assert given == raised


def test_a_limit_that_cannot_be_raised_is_kept(monkeypatch):
    def refuse(_which, _both):
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, ENDLESS))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    allow_connections()
