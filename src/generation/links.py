"""Signed links of our own: what a storage without HTTP hands out instead of presigned URLs."""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable

import msgspec

from generation.storage import StorageError

SECRET_BYTES_MIN = 16
TOKEN_CHARACTERS_MAX = 4096
_PURPOSE = b"mintage storage link v1\n"


class LinkRefusedError(StorageError):
    """The link is not ours, was changed, or has expired; the text does not tell which."""

    def __init__(self) -> None:
        super().__init__("open link: the link is not valid, or no more")


class LinkClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a link was signed for; `expires_at` is a POSIX time in milliseconds."""

    key: str
    expires_at: int
    mime_type: str
    download_name: str | None


class LinkSigner:
    """HMAC-SHA256 over the claims; the token is the claims and the signature, URL-safe."""

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        """`secret` has `SECRET_BYTES_MIN` bytes or more, else `ValueError`."""
        if len(secret) < SECRET_BYTES_MIN:
            raise ValueError(f"the link secret needs at least {SECRET_BYTES_MIN} bytes")
        self._secret = secret
        self._clock = clock

    def sign(
        self, key: str, *, expires_seconds: int, mime_type: str, download_name: str | None
    ) -> str:
        """Make a token that `open` accepts for `expires_seconds` from now."""
        claims = LinkClaims(
            key=key,
            expires_at=int((self._clock() + expires_seconds) * 1000),
            mime_type=mime_type,
            download_name=download_name,
        )
        body = _encode(msgspec.json.encode(claims))
        return f"{body}.{_encode(self._signature(body))}"

    def open(self, token: str) -> LinkClaims:
        """Check a token that `sign` made, and return its claims. Raises `LinkRefusedError`."""
        body, _, signature = token[:TOKEN_CHARACTERS_MAX].partition(".")
        # The text is compared, not its bytes: base64 has several spellings of one value.
        expected = _encode(self._signature(body))
        if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
            raise LinkRefusedError
        try:
            claims = msgspec.json.decode(_decode(body), type=LinkClaims)
        except (binascii.Error, msgspec.MsgspecError):  # signed by a version with other claims
            raise LinkRefusedError from None
        if self._clock() * 1000 >= claims.expires_at:
            raise LinkRefusedError
        return claims

    def _signature(self, body: str) -> bytes:
        message = _PURPOSE + body.encode(errors="replace")
        return hmac.digest(self._secret, message, hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
