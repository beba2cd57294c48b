"""The `bench` group of the command line."""

import click

from api.bench.audit import audit
from api.bench.flow import flow
from api.bench.growth import growth
from api.bench.http.command import http
from api.bench.http.streams import streams
from api.bench.ledger import ledger
from api.bench.rebuild import rebuild
from api.bench.start import start
from api.bench.verify import verify


@click.group()
def bench() -> None:
    """Measure, beside what people would otherwise use, in one interleaved run."""


bench.add_command(ledger)
bench.add_command(growth)
bench.add_command(audit)
bench.add_command(rebuild)
bench.add_command(verify)
bench.add_command(start)
bench.add_command(flow)
bench.add_command(http)
bench.add_command(streams)
