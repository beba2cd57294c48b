"""The `audit` group of the command line."""

from collections.abc import Mapping
from types import MappingProxyType

import click

from api.lazy_group import Entry, LazyGroup

COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "events": Entry("api.commands.audit.events", "events", "The log, filtered."),
        "reads": Entry("api.commands.audit.reads", "reads", "Who has looked at what."),
    }
)


@click.group(cls=LazyGroup, entries=COMMANDS)
def audit() -> None:
    """Ask the log what happened, and why a balance is what it is."""
