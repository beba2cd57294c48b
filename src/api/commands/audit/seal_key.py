"""`mintage audit seal-key`: a key to sign seals with."""

from pathlib import Path

import click

from api.console import json_option, print_json, tell
from ledger.chain.keys import make_key, public_pem


@click.command(name="seal-key")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def seal_key(*, file: Path, as_json: bool) -> None:
    """Make an Ed25519 key in FILE, which must not exist, and print its public half as PEM.

    FILE is for the sealer only (mode 0600). Give the public half to whoever checks seals:
    `mintage verify --seal SEAL --seal-public-key FILE`.
    """
    key = make_key(file)
    pem = public_pem(key)
    if as_json:
        print_json({"public_key": key.public_key().public_bytes_raw().hex(), "pem": pem})
        return
    click.echo(pem, nl=False)
    tell(f"the private key is in {file}: whoever has it can seal in your name")
