"""The storage as a verification asks it: how large, and what it hashes to."""

import hashlib

from generation.storage import ObjectNotFoundError, Storage, StorageError
from projections.verify.objects import ObjectsUnavailableError

PIECE_BYTES = 1 << 20
"""As much of an object is held at a time."""


class StoredObjects:
    """Safe for threads, as the storage is."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def size(self, key: str) -> int | None:
        """How many bytes lie under a key; None where there is nothing."""
        try:
            return self._storage.stat(key).bytes
        except ObjectNotFoundError:
            return None
        except ValueError:  # no key of ours: nothing can lie there
            return None
        except StorageError as error:
            raise ObjectsUnavailableError(str(error)) from error

    def digest(self, key: str) -> tuple[int, str] | None:
        """How many bytes, and their SHA-256 in hexadecimal."""
        size = self.size(key)
        if size is None:
            return None
        hashed, read = hashlib.sha256(), 0
        try:
            while piece := self._storage.get(key, offset=read, length=PIECE_BYTES):
                hashed.update(piece)
                read += len(piece)
                if read >= size:
                    break
        except ObjectNotFoundError:
            return None
        except StorageError as error:
            raise ObjectsUnavailableError(str(error)) from error
        return read, hashed.hexdigest()
