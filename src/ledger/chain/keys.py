"""Ed25519 keys in files: PEM, PKCS#8 for the private one and SubjectPublicKeyInfo for the other."""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from ledger.chain.errors import SealKeyError

KEY_BYTES_MAX = 16_384


def make_key(path: Path) -> Ed25519PrivateKey:
    """Make a private key in a new file that only its owner may read.

    Raises `SealKeyError`, with nothing written, where there is a file already or none can be.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        # Made with its mode, so that it is never open to others, not even for a moment.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise SealKeyError(path, "is there already, and a key is never overwritten") from None
    except OSError as error:
        raise SealKeyError(path, error.strerror or "cannot be written") from None
    return key


def read_key(path: Path) -> Ed25519PrivateKey:
    """The private key in `path`. Raises `SealKeyError`."""
    try:
        key = load_pem_private_key(_read(path), password=None)
    except TypeError:
        raise SealKeyError(path, "the key is under a password, which is not supported") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SealKeyError(path, "is no private key in PEM (PKCS#8)") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SealKeyError(path, "holds a private key, but not an Ed25519 one")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in `path`. Raises `SealKeyError`, for a private one too."""
    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        raise SealKeyError(path, "is no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SealKeyError(path, "holds a public key, but not an Ed25519 one")
    return key


def public_pem(key: Ed25519PrivateKey) -> str:
    """The public half, as PEM."""
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(KEY_BYTES_MAX)
    except OSError as error:
        raise SealKeyError(path, error.strerror or "cannot be read") from None
