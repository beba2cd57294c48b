"""The chain over the log, and a seal that was kept elsewhere, as checks of a verification."""

from collections.abc import Iterator
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.chain.blocks import chain_end
from ledger.chain.checking import check
from ledger.chain.errors import ChainError, SealError
from ledger.chain.seal import check_seal
from projections.verify.finding import Finding
from projections.verify.report import Report


def check_chain(connection: psycopg.Connection[Any], report: Report) -> Iterator[Finding]:
    """Recompute the chain from the rows."""
    try:
        report.chained = chain_end(connection).position
        for broken in check(connection):
            yield Finding(
                kind="chain_broken",
                account_id=broken.account_id,
                position=broken.position,
                version=broken.version,
                detail=f"{broken.kind}: {broken.problem}",
            )
    except ChainError as error:
        report.incomplete.append(f"the chain could not be checked: {error}")


class SealCheck:
    """That the chain still has the sealed head; it proves nothing without `check_chain`."""

    def __init__(self, document: bytes, public_key: Ed25519PublicKey | None) -> None:
        self._document = document
        self._public_key = public_key

    def __call__(self, connection: psycopg.Connection[Any], report: Report) -> Iterator[Finding]:
        """Find the one thing that is wrong with it, if anything is."""
        try:
            proof = check_seal(connection, self._document, self._public_key)
        except SealError as error:
            position = getattr(error, "position", None)
            yield Finding(kind="seal_broken", position=position, detail=str(error))
        else:
            report.sealed, report.remade = proof.seal.position, proof.remade
