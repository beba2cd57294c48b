"""The `audit` group of the command line."""

from collections.abc import Mapping
from types import MappingProxyType

import click

from api.lazy_group import Entry, LazyGroup

COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "seal": Entry("api.commands.audit.seal", "seal", "Sign the log's head, to keep elsewhere."),
        "seal-key": Entry("api.commands.audit.seal_key", "seal_key", "Make a key to sign with."),
    }
)


@click.group(cls=LazyGroup, entries=COMMANDS)
def audit() -> None:
    """Ask the log what happened, and why a balance is what it is."""
