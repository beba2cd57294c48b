"""The `audit` group of the command line."""

from collections.abc import Mapping
from types import MappingProxyType

import click

from api.lazy_group import Entry, LazyGroup

COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "account": Entry("api.commands.audit.account", "account", "An account, and why."),
        "balance": Entry("api.commands.audit.balance", "balance", "What it had at a time."),
        "generation": Entry(
            "api.commands.audit.generation", "generation", "One generation's story."
        ),
        "events": Entry("api.commands.audit.events", "events", "The log, filtered."),
        "reads": Entry("api.commands.audit.reads", "reads", "Who has looked at what."),
        "seal": Entry("api.commands.audit.seal", "seal", "Sign the log's head, to keep elsewhere."),
        "seal-key": Entry("api.commands.audit.seal_key", "seal_key", "Make a key to sign with."),
    }
)


@click.group(cls=LazyGroup, entries=COMMANDS)
def audit() -> None:
    """Ask the log what happened, and why a balance is what it is."""
