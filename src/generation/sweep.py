"""Deleting objects that no fact names: losing attempts, references of refused requests.

Decided against the log, never a view, and only after a grace longer than any lease.
"""

import threading
import time
from uuid import UUID

import structlog

from generation import metrics, objects
from generation.storage import Storage, StoredObject
from ledger.facts import GenerationFailed, GenerationRequested, TokensConsumed
from ledger.ledger import Ledger

PAGE = 1000
PAGES_MAX = 10_000

_log = structlog.get_logger("generation.sweep")


class Sweep:
    """Walks all of storage once a `run`. `grace_seconds` must exceed a generation's life."""

    def __init__(
        self,
        ledger: Ledger,
        storage: Storage,
        *,
        grace_seconds: float,
        stopping: threading.Event | None = None,
    ) -> None:
        """Once `stopping` is set, a running `run` ends within one object."""
        self._ledger = ledger
        self._storage = storage
        self._grace_seconds = grace_seconds
        self._stopping = stopping or threading.Event()

    def run(self) -> int:
        """Delete what is unnamed and old enough; returns how many objects."""
        swept = 0
        after = ""
        for _ in range(PAGES_MAX):
            page = self._storage.list("", after=after, limit=PAGE)
            if not page:
                break
            after = page[-1].key
            for found in page:
                if self._stopping.is_set():
                    return swept
                swept += self._sweep(found)
        if swept:
            _log.info("objects swept", objects=swept)
        return swept

    def _sweep(self, found: StoredObject) -> bool:
        origin = objects.origin(found.key)
        if origin is None or time.time() - found.modified_at < self._grace_seconds:
            return False
        if self._is_named(found.key, origin.generation_id):
            return False
        self._storage.delete(found.key)
        metrics.SWEPT.inc()
        return True

    def _is_named(self, key: str, generation_id: UUID) -> bool:
        requested = self._ledger.find(generation_id)
        if requested is None:
            return False
        fact = requested.fact
        if isinstance(fact, GenerationRequested) and fact.reference and fact.reference.key == key:
            return True
        ending = self._ledger.ending(generation_id)
        match ending.fact if ending else None:
            case None:
                return True  # still open: its images may yet be named
            case TokensConsumed(images=images):
                return any(key in {image.key, image.thumbnail_key} for image in images)
            case GenerationFailed():
                return False
            case other:
                raise TypeError(f"{other!r} ends no generation")
