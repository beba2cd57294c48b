"""What a key is: its roles, its form, and what is stored of it."""

import hashlib
from typing import Literal

Role = Literal["user", "support", "admin"]

PREFIX = "mint_"
SECRET_BYTES = 32


def key_hash(key: str) -> bytes:
    """What is stored of a key. Keys are random and long, so no salt is needed."""
    return hashlib.sha256(key.encode()).digest()
