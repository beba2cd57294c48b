"""What the views count, in Prometheus' terms; how far they lag is read at each scrape."""

from prometheus_client import Counter, Histogram

EVENTS = Counter("mintage_view_events_total", "Events that a view has moved past", ("view",))
FAILURES = Counter("mintage_view_failures_total", "Folds that failed", ("view",))
ADVANCE_SECONDS = Histogram(
    "mintage_view_advance_seconds",
    "Time in which the views were moved one range forward",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
LOST_CONNECTIONS = Counter(
    "mintage_projector_lost_connections_total", "Connections that the projector has made again"
)
