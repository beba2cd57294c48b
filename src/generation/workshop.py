"""What all attempts of a worker share: bounded threads, and many small calls as few large ones."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar
from uuid import UUID

import msgspec

from generation import leases, pictures
from generation.batched import Batched
from generation.database import Database
from generation.leases import LeaseLostError, Note
from generation.prompts import PromptMissingError, contents_of
from generation.provider import Provider
from generation.room import Room
from generation.storage import Storage
from ledger.entry import Entry
from ledger.facts import PromptVersion
from ledger.ledger import Ledger

STORAGE_CALLS_MAX = 16
LOOKUPS_MAX = 1
"""Batches of look-ups at a time; see `Batched`."""

P = ParamSpec("P")
T = TypeVar("T")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how often: calls for one image, a lease, a generation from request to end."""

    attempts_max: int
    lease_seconds: float
    deadline_seconds: float


class Workshop:
    """Used on one event loop, which never waits for any of it. Close it when done.

    Each kind of work has threads of its own, so that a storage which hangs keeps no lease from
    being renewed.
    """

    def __init__(
        self,
        *,
        worker: str,
        ledger: Ledger,
        database: Database,
        provider: Provider,
        storage: Storage,
        limits: Limits,
    ) -> None:
        self.worker = worker
        self.ledger = ledger
        self.provider = provider
        self.storage = storage
        self.limits = limits
        self.room = Room()
        self._database = database
        self._lookups = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="lookup")
        self._decoders = ThreadPoolExecutor(pictures.DECODERS_MAX, thread_name_prefix="decoder")
        self._storers = ThreadPoolExecutor(STORAGE_CALLS_MAX, thread_name_prefix="storage")
        self._find = Batched(self._find_all)
        self._note = Batched(self._note_all)
        self._content = Batched(self._contents_of)

    async def find(self, entry_id: UUID) -> Entry | None:
        """The log's entry with that fact id."""
        return await self._find(entry_id)

    async def note(self, note: Note) -> None:
        """Write down progress. Raises `LeaseLostError` where the lease is another's by now."""
        if not await self._note(note):
            raise LeaseLostError(str(note.id))

    async def content(self, prompt: PromptVersion) -> str:
        """What the provider is to be sent. Raises `PromptMissingError`."""
        found = await self._content(prompt)
        if found is None:
            raise PromptMissingError(f"{prompt.id} version {prompt.version}")
        return found

    async def develop(self, data: bytes) -> tuple[pictures.Picture, bytes]:
        """What the bytes are, and a thumbnail. Raises `UnsupportedPictureError`."""
        return await _in(self._decoders, pictures.develop, data)

    async def store(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call of the storage."""
        return await _in(self._storers, function, *args, **kwargs)

    def close(self) -> None:
        """Wait for what runs; what has not begun never will."""
        for threads in (self._lookups, self._decoders, self._storers):
            threads.shutdown(wait=True, cancel_futures=True)

    async def _note_all(self, notes: list[Note]) -> list[bool]:
        return await self._database.run(leases.note, notes)

    async def _contents_of(self, prompts: list[PromptVersion]) -> list[str | None]:
        return await self._database.run(contents_of, prompts)

    async def _find_all(self, entry_ids: list[UUID]) -> list[Entry | None]:
        found = await _in(self._lookups, self.ledger.find_all, entry_ids)
        return [found.get(entry_id) for entry_id in entry_ids]


async def _in(
    threads: ThreadPoolExecutor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    call = partial(function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(threads, call)
