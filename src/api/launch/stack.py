"""The whole service as processes of ours: started in order, each step reported, then stopped."""

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from api.launch.addresses import check_together
from api.launch.instance import Instance
from api.launch.listening import bind, url_of
from api.launch.readiness import NotReadyError, wait_until_ready
from api.launch.supervisor import Supervisor
from api.settings import Settings
from ledger.embedded import EmbeddedPostgres

READY_SECONDS_MAX = 60.0
OWNER_SECONDS_MAX = 5.0
"""How long another command may keep the embedded server while we want to own it."""


class Step(NamedTuple):
    """Something was started or done, and how long that took."""

    name: str
    detail: str
    seconds: float


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service that answers at `url`. `keys` by role; empty in production."""

    url: str
    settings: Settings
    keys: dict[str, str]
    prompt_id: str | None
    postgres: EmbeddedPostgres | None
    supervisor: Supervisor

    def tend(self) -> None:
        """Restart what has died; call it several times a second. Raises `NotReadyError`."""
        self.supervisor.tend()
        if self.postgres is not None and not self.postgres.running:
            raise NotReadyError(f"PostgreSQL has ended; {self.postgres.log} says why")


Report = Callable[[Step], None]


@contextmanager
def running(
    environ: Mapping[str, str],
    *,
    report: Report,
    tell: Callable[[str], None],
    output: IO[bytes] | None = None,
) -> Iterator[Service]:
    """Everything that the settings in `environ` name, up when the block begins, gone at its end.

    `output` is where the children's logs go, else stderr. Raises `NotReadyError`, and what
    `Instance`, `bind` and `EmbeddedPostgres` raise.
    """
    settings = Settings.from_environ(environ)
    check_together(settings)
    instance = Instance.claim(settings.home)
    try:
        with bind(settings.host, settings.port) as bound:
            metrics = _empty_folder(settings.home / "metrics")
            supervisor = Supervisor(
                _environ(environ, settings, metrics),
                output=output,
                tell=tell,
                forget=lambda pid: _forget(metrics, pid),
            )
            try:
                # They read their modules while the server starts, as we do with what comes next.
                for name in ("projector", "worker"):
                    supervisor.start(name)
                supervisor.start("api", socket=bound.fileno())
                cold = not (settings.home / "postgres").exists()
                threading.Thread(target=_read_ahead, args=(cold,), daemon=True).start()
                with _database(settings, report) as (opened, postgres):
                    try:
                        service = _start(supervisor, opened, postgres, bound, report)
                        instance.announce(service.url)
                        yield service
                    finally:
                        supervisor.stop()
            finally:
                supervisor.stop()
    finally:
        instance.release()


def _start(
    supervisor: Supervisor,
    settings: Settings,
    postgres: EmbeddedPostgres | None,
    bound: socket.socket,
    report: Report,
) -> Service:
    preparing = import_module("api.launch.preparing")
    began = time.monotonic()
    applied = preparing.migrate_tables(settings, alone=postgres is not None)
    report(Step("tables", f"{len(applied)} migrations" if applied else "up to date", _since(began)))

    began = time.monotonic()
    supervisor.begin({"DATABASE_URL": settings.database_url or ""})
    projector, worker, api = supervisor.children

    seeding = time.monotonic()
    prepared = preparing.prepare(settings)
    report(Step("seed", prepared.detail, _since(seeding)))

    deadline = time.monotonic() + READY_SECONDS_MAX
    for child, detail in (
        (projector, "folds the log into views"),
        (worker, f"draws with {'the mock' if settings.uses_mock else settings.gemini_model}"),
    ):
        try:
            child.wait_ready(deadline)
        except TimeoutError as error:
            raise NotReadyError(str(error)) from None
        report(Step(child.name, detail, _since(began)))
    url = url_of(bound)
    wait_until_ready(url, api, deadline)
    processes = f"{settings.workers} processes" if settings.workers > 1 else "1 process"
    report(Step("api", f"{url}, {processes}", _since(began)))
    return Service(
        url=url,
        settings=settings,
        keys=prepared.keys,
        prompt_id=prepared.prompt_id,
        postgres=postgres,
        supervisor=supervisor,
    )


@contextmanager
def _database(
    settings: Settings, report: Report
) -> Iterator[tuple[Settings, EmbeddedPostgres | None]]:
    if settings.database_url is not None:
        urls = (settings.database_url, settings.migration_database_url or settings.database_url)
        yield _with_urls(settings, *urls), None
        return
    began = time.monotonic()
    with _own_server(settings.home) as server:
        where = f"port {server.port}, data in {server.data_directory}"
        report(Step("PostgreSQL", where, _since(began)))
        yield _with_urls(settings, server.database_url, server.migration_database_url), server


def _own_server(home: Path) -> EmbeddedPostgres:
    deadline = time.monotonic() + OWNER_SECONDS_MAX
    while True:
        server = EmbeddedPostgres.start(home)
        if server.owner:
            return server
        if time.monotonic() > deadline:
            raise NotReadyError(
                f"process {server.owner_pid} runs the PostgreSQL of {home}: stop that one first"
            )
        time.sleep(0.1)  # another command of ours, that ends in a moment


def _environ(environ: Mapping[str, str], settings: Settings, metrics: Path) -> dict[str, str]:
    # Not the owner's address: no role of the service may change the log.
    return {name: value for name, value in environ.items() if name != "MIGRATION_DATABASE_URL"} | {
        "MINTAGE_HOME": str(settings.home),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }


def _with_urls(settings: Settings, url: str, migration_url: str) -> Settings:
    return msgspec.structs.replace(settings, database_url=url, migration_database_url=migration_url)


def _read_ahead(cold: bool) -> None:  # noqa: FBT001 - a thread's arguments have no names
    import_module("api.launch.preparing")
    if cold:
        import_module("ledger.revisions")


def _empty_folder(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def _forget(metrics: Path, pid: int) -> None:
    """Drop what a dead process said of its present: it would be summed up forever."""
    for path in metrics.glob(f"gauge_live*_{pid}.db"):
        path.unlink(missing_ok=True)


def _since(began: float) -> float:
    return time.monotonic() - began
