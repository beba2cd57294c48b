"""What the log names in storage: whether it is there, with its size and hash."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import msgspec
import psycopg

from ledger.codec import decode_entry
from ledger.entry import Entry
from ledger.errors import CorruptLogError
from ledger.facts import GenerationRequested, TokensConsumed
from projections.verify.finding import Finding
from projections.verify.report import Report

THREADS = 8
WAITING_MAX = 64
"""As many are asked for ahead."""

UNANSWERED_MAX = 20
"""After so many without an answer no more are asked for."""

_NAMING = b"""
COPY (
    SELECT row_to_json(e) FROM ledger_events AS e
    WHERE topic LIKE 'tokens_consumed:%'
        OR topic LIKE 'generation_requested:%' AND data ? 'reference'
    ORDER BY position
) TO STDOUT"""


class ObjectsUnavailableError(Exception):
    """The storage does not answer, or not to us; says nothing of the object."""


class Objects(Protocol):
    """The storage, as far as it is asked. Called from several threads at once.

    Both raise `ObjectsUnavailableError`.
    """

    def size(self, key: str) -> int | None:
        """How many bytes lie under a key; None where there is nothing."""
        ...

    def digest(self, key: str) -> tuple[int, str] | None:
        """How many bytes, and their SHA-256 in hexadecimal."""
        ...


class _Named(msgspec.Struct, frozen=True):
    """An object that the log names; a thumbnail has no size and hash there."""

    account_id: str
    position: int
    what: str
    key: str
    bytes: int | None = None
    sha256: str | None = None


def check_objects(
    connection: psycopg.Connection[Any], objects: Objects, report: Report
) -> Iterator[Finding]:
    """Look at each object that the log names, a bounded number at a time."""
    unanswered, problem = 0, ""
    waiting: deque[tuple[_Named, Future[str | None]]] = deque()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="objects") as threads:
        named = _named(connection)
        while unanswered <= UNANSWERED_MAX:
            while len(waiting) < WAITING_MAX and (one := next(named, None)):
                waiting.append((one, threads.submit(_wrong, one, objects)))
            if not waiting:
                break
            one, future = waiting.popleft()
            try:
                wrong = future.result()
            except ObjectsUnavailableError as error:
                unanswered, problem = unanswered + 1, str(error)
                continue
            report.objects += 1
            if wrong is not None:
                yield Finding(
                    kind="object_differs" if wrong else "object_missing",
                    account_id=one.account_id,
                    position=one.position,
                    detail=f"{one.what} {one.key} {wrong or 'is not in storage'}",
                )
        threads.shutdown(wait=True, cancel_futures=True)
    if unanswered:
        more = " and more were not asked for" if unanswered > UNANSWERED_MAX else ""
        report.incomplete.append(
            f"the storage did not answer for {unanswered} objects{more}: {problem}"
        )


def _wrong(named: _Named, objects: Objects) -> str | None:
    """What is wrong with it in words; nothing at all where it is missing."""
    if named.sha256 is None:
        size = objects.size(named.key)
        return "" if size is None else ("is empty" if size == 0 else None)
    found = objects.digest(named.key)
    if found is None:
        return ""
    size, sha256 = found
    if size != named.bytes:
        return f"has {size} bytes, not {named.bytes}"
    return None if sha256 == named.sha256 else f"hashes to {sha256}, not {named.sha256}"


def _named(connection: psycopg.Connection[Any]) -> Iterator[_Named]:
    with connection.cursor() as cursor, cursor.copy(_NAMING) as copy:
        for line in copy:
            try:
                entry = decode_entry(bytes(line).replace(b"\\\\", b"\\"))
            except (CorruptLogError, ValueError, RecursionError):
                continue  # its account's stream tells of it
            yield from _of(entry)


def _of(entry: Entry) -> Iterator[_Named]:
    account_id, position = entry.account_id, entry.position
    match entry.fact:
        case TokensConsumed(images=images):
            for image in images:
                yield _Named(account_id, position, "image", image.key, image.bytes, image.sha256)
                yield _Named(account_id, position, "thumbnail", image.thumbnail_key)
        case GenerationRequested(reference=reference) if reference is not None:
            yield _Named(
                account_id,
                position,
                "reference",
                reference.key,
                reference.bytes,
                reference.sha256,
            )
