"""What the command line says: results on stdout, everything else on stderr."""

from typing import Any

import click
import msgspec

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout."
)


def tell(text: str) -> None:
    """A line of progress, for people."""
    click.echo(text, err=True)


def print_json(document: Any) -> None:
    """The one document of a command."""
    click.echo(msgspec.json.encode(document).decode())
