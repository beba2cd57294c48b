"""What is measured: each contender in turn, under each load, with what it costs."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import click
import psycopg

from api.bench.http import crud_app
from api.bench.http.accounts import end_all
from api.bench.http.asking import ACCEPT
from api.bench.http.load import Load, Loaded, Loader, WrongAnswerError
from api.bench.http.profiling import Stacks, flame
from api.bench.http.site import MINTAGE, OTHERS, Site, site
from api.bench.processes import cpu_seconds, tree
from api.bench.report import Row
from api.bench.rounds import in_turn
from ledger.embedded import EmbeddedPostgres

RATE_PER_MINUTE = "100000"
"""The most that can be set: looked at in every request, and nobody is refused."""

OPEN_CONNECTIONS = 256
"""Of an open loop: more than are ever under way while a server keeps up."""


class Measured(NamedTuple):
    """One load of one server, with the processor seconds of its processes and of PostgreSQL."""

    loaded: Loaded
    api_cpu_seconds: float
    postgres_cpu_seconds: float


class Place(NamedTuple):
    """Where a figure belongs. `percent` None is a closed loop."""

    workers: int
    what: str
    percent: int | None
    name: str


class Field:
    """All contenders with one number of processes, over a database of their own."""

    def __init__(
        self,
        postgres: EmbeddedPostgres,
        database: str,
        loader: Loader,
        sites: Sequence[Site],
    ) -> None:
        self._postgres = postgres
        self._owner, self._application = _urls(postgres, database)
        self._loader = loader
        self._sites = sites

    def await_ready(self) -> None:
        """Return once all have started."""
        for each in self._sites:
            each.await_ready()

    def warm(self, asked: Sequence[str], clients: int, seconds: float) -> None:
        """Plans, caches, and who writes for the others."""
        for each in self._sites:
            for what in {ACCEPT, *asked}:
                self._measure(each, what, clients, seconds)
        self._end_all()

    def round(
        self, number: int, asked: Sequence[str], clients: int, loads: Sequence[int], seconds: float
    ) -> Iterator[tuple[Place, Measured]]:
        """Every figure once."""
        capacity = {}
        for what in asked:
            for each in in_turn(self._sites, number):
                if each.name == "echo" and what != ACCEPT:
                    continue
                measured = self._measure(each, what, clients, seconds)
                yield Place(each.workers, what, None, each.name), measured
                if what == ACCEPT:
                    capacity[each] = rate_of(measured)
            self._end_all()
        for percent in loads if ACCEPT in asked else ():
            for each in in_turn(self._sites, number):
                if each.name == "echo":
                    continue
                rate = capacity[each] * percent / 100
                measured = self._measure(each, ACCEPT, OPEN_CONNECTIONS, seconds, rate)
                yield Place(each.workers, ACCEPT, percent, each.name), measured
            self._end_all()

    def parts(self, folder: Path, clients: int, seconds: float) -> list[Row]:
        """Where the time of a request goes, the API's by samples and PostgreSQL's as a whole."""
        (ours,) = (each for each in self._sites if each.name == MINTAGE)
        pid = max(ours.pids)  # of several processes the last that was started: one that serves
        drawn = flame(pid, folder, seconds=seconds)
        self._measure(ours, ACCEPT, clients, seconds)
        drawn.wait()  # two samplers at a time would stop each other
        stacks = Stacks(pid, folder, seconds=seconds)
        measured = self._measure(ours, ACCEPT, clients, seconds)
        api, postgres = (
            1e6 * each / measured.loaded.answered
            for each in (measured.api_cpu_seconds, measured.postgres_cpu_seconds)
        )
        return [
            *(
                {"part": name, "percent": round(100 * share, 1), "us": round(share * api, 1)}
                for name, share in stacks.shares().items()
            ),
            {"part": "PostgreSQL, all its processes", "percent": 0.0, "us": round(postgres, 1)},
        ]

    def _measure(
        self, each: Site, what: str, connections: int, seconds: float, rate: float | None = None
    ) -> Measured:
        load = Load(
            port=each.port,
            what=what,
            connections=connections,
            seconds=seconds,
            rate=rate,
        )
        api, postgres = each.cpu_seconds, self._postgres_seconds()
        try:
            loaded = self._loader.run(load)
        except WrongAnswerError as error:
            raise click.ClickException(f"{each.name}: {error}") from None
        return Measured(loaded, each.cpu_seconds - api, self._postgres_seconds() - postgres)

    def _postgres_seconds(self) -> float:
        return sum(map(cpu_seconds, tree(self._postgres.server_pid)))

    def _end_all(self) -> None:
        """An account keeps few open, as in use; and the tokens last."""
        # As the role that the API has, or another process would write than the one measured, and
        # that would have every account to read again.
        end_all(self._application)
        with psycopg.connect(self._owner) as connection:
            crud_app.settle(connection)


@contextmanager
def field(
    postgres: EmbeddedPostgres, folder: Path, loader: Loader, workers: int
) -> Iterator[Field]:
    """The contenders, running as long as the block, each with so many processes."""
    database = f"bench_{workers}"
    with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database} TEMPLATE mintage".encode())
    owner, application = _urls(postgres, database)
    with ExitStack() as stack:
        limit = {"RATE_LIMIT_GENERATIONS_PER_MINUTE": RATE_PER_MINUTE}
        sites = [
            stack.enter_context(site(MINTAGE, application, folder, workers=workers, **limit)),
            *(stack.enter_context(site(name, owner, folder, workers=workers)) for name in OTHERS),
        ]
        yield Field(postgres, database, loader, sites)


def _urls(postgres: EmbeddedPostgres, database: str) -> tuple[str, str]:
    """The owner's, and that of the role which the API has."""
    return postgres.url("mintage_owner", database), postgres.url("mintage_app", database)


def rate_of(measured: Measured) -> float:
    """Answers a second."""
    return measured.loaded.rate
