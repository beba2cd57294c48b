"""What generating counts, in Prometheus' terms."""

from prometheus_client import Counter, Gauge, Histogram

PROVIDER_CALLS = Counter(
    "mintage_provider_calls_total", "Provider calls by outcome", ("provider", "outcome")
)
PROVIDER_SECONDS = Histogram(
    "mintage_provider_call_seconds",
    "Duration of one provider call",
    buckets=(0.1, 0.5, 1, 2, 5, 10, 20, 40, 80, 120, 300),
)
GENERATION_SECONDS = Histogram(
    "mintage_generation_seconds",
    "From the request's commit to the ending's",
    ("outcome",),
    buckets=(0.1, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640),
)
IN_FLIGHT = Gauge(
    "mintage_generations_in_flight",
    "Generations that this worker holds",
    multiprocess_mode="livesum",
)
SWEPT = Counter("mintage_swept_objects_total", "Objects deleted since no fact names them")
EXPIRED = Counter("mintage_expired_generations_total", "Generations failed past their deadline")
