"""`@eventide/message-db`: a store of events as functions of PostgreSQL."""

from typing import Any
from uuid import uuid4

import msgspec
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from api.bench import peers, work
from api.bench.callers import Run, run
from api.bench.streams import Data, Streams
from ledger.embedded import EmbeddedPostgres

# In the order of the package's own install.sh. Its extension is for gen_random_uuid(), which
# PostgreSQL has itself since 13; roles and privileges are for others than the owner.
_FILES = (
    "schema/message-store",
    "tables/messages",
    "types/message",
    *(
        f"functions/{name}"
        for name in (
            "message-store-version",
            "hash-64",
            "acquire-lock",
            "category",
            "is-category",
            "id",
            "cardinal-id",
            "stream-version",
            "write-message",
        )
    ),
    *(f"indexes/messages-{name}" for name in ("id", "stream", "category")),
)
_WRITE = "SELECT write_message(%s, %s, %s, %s::jsonb, NULL, %s)"

_Pool = AsyncConnectionPool[psycopg.AsyncConnection[Any]]


class _Stream:
    def __init__(self) -> None:
        self.name = f"wallet-{uuid4()}"
        self.version = -1


class MessageDb:
    """One `write_message` a step, in a transaction of its own, at the version that is expected.

    It lets one writer at a time into a category, as its documentation has it.
    """

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        url = peers.database(postgres, "bench_message_db")
        self._url = make_conninfo(url, options="-c search_path=message_store,public")
        source = peers.folder("@eventide/message-db") / "database"
        with psycopg.connect(self._url, autocommit=True) as connection:
            for name in _FILES:
                connection.execute((source / f"{name}.sql").read_bytes())

    def measure(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Run:
        """Over a pool of async psycopg connections, the statement prepared."""
        del pick

        async def main() -> Run:
            pool: _Pool = AsyncConnectionPool(
                self._url,
                min_size=work.POOL_SIZE,
                max_size=work.POOL_SIZE,
                kwargs={"autocommit": True, "prepare_threshold": 0},
                open=False,
                timeout=600,
            )

            async def append(stream: _Stream, name: str, data: Data) -> None:
                event = msgspec.json.encode(data).decode()
                parameters = (str(uuid4()), stream.name, name, event, stream.version)
                async with pool.connection() as connection:
                    cursor = await connection.execute(_WRITE, parameters)
                    (stream.version,) = await cursor.fetchone() or (-1,)

            async with pool:
                await pool.wait()
                streams = Streams([_Stream() for _ in range(callers)], append)
                return Run.of([await streams.measure(seconds=seconds)])

        return run(main())

    def close(self) -> None:
        """Nothing is kept between runs."""
