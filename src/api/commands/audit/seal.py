"""`mintage audit seal`: the chain's head, signed, for keeping elsewhere."""

import os
from pathlib import Path

import click
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.console import json_option, tell
from api.launch.quiet import quiet_logs
from api.opening import check_migrated, opened
from api.settings import Settings
from ledger.chain.blocks import catch_up
from ledger.chain.keys import make_key, read_key
from ledger.chain.seal import encode_seal, sign

DEMO_KEY = "seal-key.pem"


@click.command()
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path),
    help="The private key, as `seal-key` makes it; else MINTAGE_SEAL_KEY_FILE.",
)
@json_option
def seal(*, key_file: Path | None, as_json: bool) -> None:
    """Chain the whole log and print its head, signed: one JSON document.

    Keep it where whoever owns the database cannot reach it: an owner can rewrite the log and its
    chain, and `mintage verify --seal FILE` is what tells then. An embedded demo signs with a key of
    its own in MINTAGE_HOME where none is named.
    """
    settings = Settings.from_environ(os.environ)
    quiet_logs(settings)
    named = key_file or _path(settings.mintage_seal_key_file)
    if named is None and settings.database_url is not None:
        raise click.UsageError(
            "there is no key to sign with: make one with `mintage audit seal-key FILE`, "
            "and name it with --key or MINTAGE_SEAL_KEY_FILE"
        )
    key = read_key(named) if named else None
    with opened(settings) as open_settings:
        url = open_settings.database_url or ""
        check_migrated(url)
        key = key or _demo_key(settings.home / DEMO_KEY)
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            sealed = sign(catch_up(connection), key)
    click.echo(encode_seal(sealed).decode())
    if not as_json:
        tell(f"sealed up to position {sealed.position}; keep this document elsewhere")


def _demo_key(path: Path) -> Ed25519PrivateKey:
    if path.exists():
        return read_key(path)
    tell(f"made a key to sign with: {path}")
    return make_key(path)


def _path(name: str | None) -> Path | None:
    return Path(name).expanduser() if name else None
