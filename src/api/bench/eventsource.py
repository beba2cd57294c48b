"""`eventsource-py`, a store of events for asyncio, by SQLAlchemy and asyncpg."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.conninfo import conninfo_to_dict

from api.bench import peers, work
from api.bench.callers import Run, run
from api.bench.streams import CONSUMED, REQUESTED, Data, Streams
from ledger.embedded import EmbeddedPostgres

CATEGORY = "Wallet"


class _Stream:
    def __init__(self) -> None:
        self.id: UUID = uuid4()
        self.version = 0


class EventSource:
    """Appends at a known version; the library reads it again, inserts and commits."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        # Installed when asked for, like all that stands below.
        from eventsource.migrations import get_schema  # noqa: PLC0415

        url = peers.database(postgres, "bench_eventsource")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(get_schema("events").encode())
        parts = conninfo_to_dict(url)
        self._url = "postgresql+asyncpg://{user}:{password}@{host}:{port}/{dbname}".format(**parts)

    def measure(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Run:
        """Over the library's engine, with a pool as large as the others'."""
        del pick
        from eventsource import (  # noqa: PLC0415
            DomainEvent,
            ExpectedVersion,
            PostgreSQLEventStore,
            StreamId,
            create_async_engine,
        )

        def kind(name: str) -> Any:
            members = {"__annotations__": {"data": Data, "aggregate_type": str}}
            return type(name, (DomainEvent,), {**members, "aggregate_type": CATEGORY})

        kinds = {name: kind(name) for name in (REQUESTED, CONSUMED)}

        async def main() -> Run:
            engine = create_async_engine(self._url, pool_size=work.POOL_SIZE, max_overflow=0)
            store = PostgreSQLEventStore(engine, owns_engine=True)

            async def append(stream: _Stream, name: str, data: Data) -> None:
                event = kinds[name](
                    aggregate_id=stream.id, aggregate_version=stream.version + 1, data=data
                )
                at = ExpectedVersion.exact(stream.version)
                done = await store.append(StreamId(stream.id, CATEGORY), [event], at)
                stream.version = done.new_version

            try:
                # All connections made, and its statements prepared, before time runs.
                warm = (append(_Stream(), REQUESTED, {}) for _ in range(work.POOL_SIZE))
                await asyncio.gather(*warm)
                streams = Streams([_Stream() for _ in range(callers)], append)
                return Run.of([await streams.measure(seconds=seconds)])
            finally:
                await store.close()

        return run(main())

    def close(self) -> None:
        """Nothing is kept between runs."""
