"""What must not stand in any file: unfinished work, hosts of package registries, one machine's paths, who made it."""

import re
from pathlib import Path

import pytest

# Each pattern is written so that it does not match its own line.
FORBIDDEN = {
    "unfinished work": r"\b(TO[D]O|FIX[M]E|X[X]X)\b|raise NotImplemented[E]rror",
    "a registry's host": r"(py[p]i|pythonhost[e]d|crates)\.(org|io)\b|registry\.(npm[j]s|yarn[p]kg)|deb\.deb[i]an\.org"
    r"|re[p]o1?\.maven\.org|proxy\.gol[a]ng\.org",
    "a machine's path": r"(^|[^A-Za-z0-9_.-])/(w[o]rk|r[o]ot|f[a]rm|h[o]me/[a-z]+)/",
    "a role in its making": r"\bH-(W[I]RE|S[T]ORE|S[Q]S|P[R]OJECT|B[E]NCH|S[D]K|V[E]RIFY)\b|\bsub[a]gent"
    r"|lang[u]age model",
    "a credential": r"\bAK[I]A[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIV[A]TE KEY-----",
}
EXAMPLE_KEYS = {"AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE"}


def text_of(path: Path) -> str:
    """The file's text; none for what is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_no_file_holds(tracked: list[Path], root: Path, what: str):
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{path.relative_to(root)}:{line}: {match.group()!r}"
        for path in tracked
        for line, text in enumerate(text_of(path).splitlines(), start=1)
        for match in pattern.finditer(text)
        if match.group() not in EXAMPLE_KEYS
    ]
    assert not found


def test_requirements_are_pinned_and_hashed(root: Path):
    for path in (root / "requirements").glob("*.txt"):
        pins = re.split(r"\n(?=\S)", path.read_text().strip())
        assert pins
        for pin in pins:
            assert re.match(r"[a-z0-9.-]+==\S+", pin), f"{path.name}: {pin[:60]}"
            assert "--hash=sha256:" in pin, f"{path.name}: {pin[:60]}"
            assert "://" not in pin, f"{path.name}: {pin[:60]}"


def test_what_the_package_needs_is_pinned(root: Path):
    import tomllib

    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    pinned = set(re.findall(r"^([a-z0-9.-]+)==", (root / "requirements/runtime.txt").read_text(), re.MULTILINE))
    assert {re.split(r"[\[<>=!]", need)[0] for need in project["dependencies"]} <= pinned
