"""A worker that dies by SIGKILL at one named moment; the service itself has no such hooks.

python dying_worker.py before_call|after_call|before_put|after_put|before_commit|after_commit
"""

import asyncio
import os
import signal
import sys
from typing import Any

from api.providing import build_provider
from api.settings import Settings
from api.storing import build_storage
from generation.provider import ImageRequest, Provider, ProviderImage
from generation.room import Part
from generation.storage import Storage
from generation.worker import Worker
from generation.workshop import Limits
from ledger.batch import Outcome
from ledger.commands import Submission
from ledger.ledger import Ledger


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingProvider:
    def __init__(self, provider: Provider, moment: str) -> None:
        self.name = provider.name
        self.aclose = provider.aclose
        self._provider = provider
        self._moment = moment

    async def generate(self, request: ImageRequest, part: Part | None = None) -> ProviderImage:
        if self._moment == "before_call":
            die()
        drawn = await self._provider.generate(request, part)
        if self._moment == "after_call":
            die()
        return drawn


class DyingStorage:
    def __init__(self, storage: Storage, moment: str) -> None:
        self._storage = storage
        self._moment = moment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def put(self, key: str, data: bytes, *, mime_type: str) -> None:
        if self._moment == "before_put":
            die()
        self._storage.put(key, data, mime_type=mime_type)
        if self._moment == "after_put":
            die()


class DyingLedger:
    def __init__(self, ledger: Ledger, moment: str) -> None:
        self._ledger = ledger
        self._moment = moment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def record_async(self, submission: Submission) -> Outcome:
        if self._moment == "before_commit":
            die()
        outcome = await self._ledger.record_async(submission)
        if self._moment == "after_commit":
            die()
        return outcome


def main(moment: str) -> None:
    settings = Settings.from_environ(os.environ)
    url = settings.database_url or ""
    parts: dict[str, Any] = {
        "ledger": DyingLedger(Ledger(url), moment),
        "provider": DyingProvider(build_provider(settings), moment),
        "storage": DyingStorage(build_storage(settings), moment),
    }
    limits = Limits(
        attempts_max=settings.generation_attempts_max,
        lease_seconds=settings.generation_lease_seconds,
        deadline_seconds=settings.generation_deadline_seconds,
    )

    async def work() -> None:
        await Worker(url=url, limits=limits, **parts).run()

    asyncio.run(work())


if __name__ == "__main__":
    main(sys.argv[1])
