"""What the ledger counts, in Prometheus' terms."""

from prometheus_client import Counter, Gauge, Histogram

BATCH_COMMANDS = Histogram(
    "mintage_commit_batch_commands",
    "Commands recorded by one transaction",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
BATCH_SECONDS = Histogram(
    "mintage_commit_batch_seconds",
    "Time from sending a batch, or from reading for it, to its commit",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)
COMMANDS = Counter(
    "mintage_commands_total",
    "Commands by kind and outcome",
    ("command", "outcome"),
)
LOST_CONNECTIONS = Counter(
    "mintage_commit_lost_connections_total",
    "Batches tried again since their connection was lost",
)
RELAY_GUESTS = Gauge(
    "mintage_relay_guests",
    "Processes of this host that hand their commands to this one",
    multiprocess_mode="livesum",
)
RELAYED = Counter(
    "mintage_relayed_commands_total",
    "Commands handed to the process that writes for this host",
)
