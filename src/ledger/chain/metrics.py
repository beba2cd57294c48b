"""What the chain counts, in Prometheus' terms; how far it lags is read at each scrape."""

from prometheus_client import Counter, Histogram

EVENTS = Counter("mintage_chain_events_total", "Events that were chained")
FAILURES = Counter("mintage_chain_failures_total", "Blocks that could not be closed")
BLOCK_SECONDS = Histogram(
    "mintage_chain_block_seconds",
    "Time in which a block was closed",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
LOST_CONNECTIONS = Counter(
    "mintage_chainer_lost_connections_total", "Connections that the chainer has made again"
)
