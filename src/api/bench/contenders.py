"""Who takes part in `mintage bench ledger`: each by a name, made when it is asked for."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from api.bench import peers, work
from api.bench.beside import BesideAnother
from api.bench.callers import Run
from api.bench.copying import Copying
from api.bench.crud import Crud
from api.bench.emmett import Emmett
from api.bench.eventsource import EventSource
from api.bench.library import PlainLibrary
from api.bench.message_db import MessageDb
from api.bench.ours import Warmed
from api.bench.pgbench import PgBenchCrud, PgBenchInsert
from api.bench.refusing import Refusing
from ledger.embedded import EmbeddedPostgres

OURS = "mintage"


class Contender(Protocol):
    """One way to do the work."""

    def measure(self, pick: work.PickAccount, *, callers: int, seconds: float) -> Run:
        """Request and settle for `seconds`, on accounts that `pick` picks."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class Way(NamedTuple):
    """How a contender is made.

    One that is not `spread` does not mind which accounts are asked for; `needs` is what
    `make bench-peers` brings for it.
    """

    make: Callable[[EmbeddedPostgres], Contender]
    spread: bool = False
    needs: peers.Needed | None = None


def _ours(postgres: EmbeddedPostgres) -> Warmed:
    ours = Warmed(postgres.migration_database_url)
    ours.open(work.account_ids())
    return ours


WAYS: Mapping[str, Way] = {
    OURS: Way(_ours, spread=True),
    f"{OURS} beside another": Way(
        lambda postgres: BesideAnother(postgres.migration_database_url), spread=True
    ),
    f"{OURS} refusing": Way(
        lambda postgres: Refusing(postgres.migration_database_url), spread=True
    ),
    "CRUD": Way(lambda postgres: Crud(postgres.migration_database_url), spread=True),
    "CRUD in pgbench": Way(PgBenchCrud, spread=True),
    "eventsourcing": Way(lambda postgres: PlainLibrary(postgres.migration_database_url)),
    "eventsource-py": Way(EventSource, needs=peers.python("eventsource")),
    "message-db": Way(MessageDb, needs=peers.npm("@eventide/message-db")),
    "emmett": Way(Emmett, needs=peers.npm("@event-driven-io/emmett-postgresql")),
    "INSERT in pgbench": Way(PgBenchInsert),
    "COPY": Way(Copying),
}
