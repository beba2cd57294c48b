"""Which storage the settings name, and the secret that signs the folder's links."""

import os
import secrets
from pathlib import Path

import structlog

from api.settings import Settings
from generation.folder import FolderStorage
from generation.storage import Storage, StorageError

LINK_SECONDS = 300
"""How long a link to a picture lives."""

_SECRET_BYTES = 32
_log = structlog.get_logger("api.storing")


def build_storage(settings: Settings) -> Storage:
    """S3 where `S3_ENDPOINT` is set, else a folder under the home.

    A storage out of reach is no error here: readiness tells, and each call that needs it.
    """
    if settings.s3_endpoint is None:
        folder = settings.home / "storage"
        return FolderStorage(folder, base_url="", secret=link_secret(folder))
    from generation.s3 import S3Storage  # noqa: PLC0415 - a tenth of a second for those who use it

    storage = S3Storage(
        endpoint=settings.s3_endpoint,
        access_key=settings.s3_access_key or "",
        secret_key=settings.s3_secret_key or "",
        bucket=settings.s3_bucket,
        region=settings.s3_region,
        public_endpoint=settings.s3_public_endpoint,
    )
    try:
        storage.ensure_bucket()
    except StorageError as error:
        _log.warning("bucket not opened", error=str(error))
    return storage


def link_secret(folder: Path) -> bytes:
    """The secret of this home, made by the first process that asks for it."""
    path = folder / "link-secret"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        # Linked into place whole, so that no other process can read half of it.
        fresh = folder / f"link-secret.{secrets.token_hex(8)}"
        fresh.touch(mode=0o600)
        fresh.write_bytes(secrets.token_bytes(_SECRET_BYTES))
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_bytes()
