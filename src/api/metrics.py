"""What the API counts, and /metrics: over all processes where they share a folder for it."""

import os
from collections.abc import Iterator

import psycopg
import psycopg_pool
from litestar import Response, get
from litestar.di import NamedDependency
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from api.connection import Connection
from api.services import Services
from ledger.chain.blocks import chain_end
from ledger.chain.errors import ChainError
from projections.level import lag

REQUESTS = Counter("mintage_http_requests_total", "Requests", ("method", "route", "status"))
REQUEST_SECONDS = Histogram(
    "mintage_http_request_seconds",
    "Time to the end of the answer, waits and streams included",
    ("method", "route"),
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

_OPEN = "SELECT count(*) FROM generations WHERE outcome IS NULL"


class _Now(Collector):
    """What is read from the database at each scrape."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def collect(self) -> Iterator[Metric]:
        row = self._connection.execute(_OPEN).fetchone()
        yield GaugeMetricFamily(
            "mintage_generations_open", "Generations asked for and not ended", row[0] if row else 0
        )
        yield GaugeMetricFamily(
            "mintage_projection_lag_events",
            "Events that the view furthest behind has not folded",
            lag(self._connection),
        )
        yield GaugeMetricFamily(
            "mintage_chain_lag_events",
            "Events that no block of the hash chain covers yet",
            chain_end(self._connection).unchained,
        )


@get("/metrics", include_in_schema=False)
async def metrics(services: NamedDependency[Services]) -> Response[bytes]:
    """Prometheus' text format. With the database out of reach, what needs it is left out."""
    content = await services.threads.check(_scrape, services)
    return Response(content=content, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _scrape(services: Services) -> bytes:
    content = generate_latest(_processes())
    try:
        with services.pool.connection(timeout=1) as connection:
            now = CollectorRegistry()
            now.register(_Now(connection))
            return content + generate_latest(now)
    except (psycopg.Error, psycopg_pool.PoolTimeout, ChainError):
        return content


def _processes() -> CollectorRegistry:
    """The figures of this process, or those of all that write into PROMETHEUS_MULTIPROC_DIR."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
