"""Keys of what is stored, and what a key says of where it came from.

An image's key is `{account}/{generation}/{attempt}-{image}-{random}.{ext}`: never one key for two
attempts, since a stale worker would overwrite bytes whose hash was charged for. A reference's is
`{account}/{generation}/reference-{random}.{ext}`.
"""

import re
import secrets
from uuid import UUID

import msgspec

EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
_KEY = re.compile(r"([A-Za-z0-9_-]{1,64})/([0-9a-f-]{36})/[A-Za-z0-9.-]{1,80}")


class Origin(msgspec.Struct, frozen=True):
    """Whose object it is, and of which generation."""

    account_id: str
    generation_id: UUID


def image_key(
    account_id: str, generation_id: UUID, *, attempt: int, image: int, mime_type: str
) -> str:
    """A key that no other attempt has."""
    name = f"{attempt}-{image}-{secrets.token_hex(8)}.{EXTENSIONS[mime_type]}"
    return f"{account_id}/{generation_id}/{name}"


def reference_key(account_id: str, generation_id: UUID, mime_type: str) -> str:
    """The key of the picture that was sent in."""
    name = f"reference-{secrets.token_hex(8)}.{EXTENSIONS[mime_type]}"
    return f"{account_id}/{generation_id}/{name}"


def thumbnail_key(key: str) -> str:
    """The key of an image's thumbnail, beside it."""
    return f"{key.rpartition('.')[0]}-thumbnail.webp"


def origin(key: str) -> Origin | None:
    """Where an object came from, or None where the key is not one of ours."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    try:
        return Origin(match[1], UUID(match[2]))
    except ValueError:
        return None
