"""Whether this process lives, and whether it can serve."""

import asyncio
from collections.abc import Awaitable

import msgspec
import structlog
from litestar import get
from litestar.di import NamedDependency

from api.connection import Connection
from api.openapi.documented import problems
from api.problems.refusals import NotReadyError
from api.services import Services
from ledger.chain.blocks import STUCK_SECONDS, chain_end
from ledger.chain.failing import failure
from projections.failures import failures

CHECK_SECONDS_MAX = 4
VIEWS_BEHIND_SECONDS_MAX = 30

# The oldest event that some view has not folded: how long has it waited?
_WAITING = """
SELECT count(*) FROM ledger_events
WHERE position = (SELECT min(position) FROM view_positions) + 1
    AND at < clock_timestamp() - %s * interval '1 second'"""
_log = structlog.get_logger("api.health")


class Health(msgspec.Struct, frozen=True):
    """All is well; anything else is a problem document."""

    status: str = "ok"


class BehindError(Exception):
    """A view, or the hash chain, has stopped, or waits for a projector."""


@get(
    "/health/live",
    security=[{}],
    sync_to_thread=False,
    tags=["operations"],
    summary="The process answers",
)
def live() -> Health:
    """Looks at nothing else: a database that is down is no reason to restart this process."""
    return Health()


@get(
    "/health/ready",
    security=[{}],
    tags=["operations"],
    summary="Database, storage, views and the log's hash chain are in order",
    responses=problems("UNAVAILABLE"),
)
async def ready(services: NamedDependency[Services]) -> Health:
    """503 `UNAVAILABLE` names in `failing` what is not.

    `database`, `storage`, `projections` or `chain`.
    """
    threads = services.threads
    checks: dict[str, Awaitable[None]] = {
        "database": threads.check(_check_database, services),
        "storage": threads.check(services.storage.check),
        "projections": threads.check(_check_views, services),
        "chain": threads.check(_check_chain, services),
    }
    fine = await asyncio.gather(*(_passes(name, check) for name, check in checks.items()))
    failing = [name for name, passed in zip(checks, fine, strict=True) if not passed]
    if failing:
        raise NotReadyError(failing)
    return Health()


async def _passes(name: str, check: Awaitable[None]) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            await check
    except Exception as error:  # noqa: BLE001 - whatever it is, the part is not ready
        _log.warning("not ready", part=name, error=type(error).__name__, cause=str(error)[:300])
        return False
    return True


def _check_database(services: Services) -> None:
    with services.pool.connection(timeout=2) as connection:
        connection.execute("SELECT 1 FROM ledger_events LIMIT 1")


def _check_views(services: Services) -> None:
    with services.pool.connection(timeout=2) as connection:
        if stopped := failures(connection):
            raise BehindError(", ".join(failure.view for failure in stopped))
        if _waiting(connection):
            raise BehindError(f"behind by more than {VIEWS_BEHIND_SECONDS_MAX} s")


def _check_chain(services: Services) -> None:
    with services.pool.connection(timeout=2) as connection:
        if stopped := failure(connection):
            raise BehindError(stopped.problem)
        if chain_end(connection).is_stuck:
            raise BehindError(f"behind by more than {STUCK_SECONDS:g} s")


def _waiting(connection: Connection) -> bool:
    row = connection.execute(_WAITING, (VIEWS_BEHIND_SECONDS_MAX,)).fetchone()
    return bool(row and row[0])
