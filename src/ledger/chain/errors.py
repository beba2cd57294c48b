"""What the chain says no with.

ChainError
├── UnreadableRowError      position: the row has no canonical bytes
├── MissingRowError         position: the log has a gap where rows are to be chained
├── ChainStoppedError       nobody could close a block over what was there
└── SealError               a seal that proves nothing
    ├── SealKeyError            path: the file holds no such key
    ├── SealMalformedError      it is not, or not wholly, one of our seals
    ├── SealSignatureError      it was changed since it was signed, or another key signed it
    ├── OtherLogError           sealed, found: it is a seal of another log
    ├── LogCutError             position, head: the log ends before what was sealed
    ├── ChainCutError           position, end: the chain ends before what was sealed
    └── RewrittenError          position: the log's chain is not the one that was sealed there
"""

from pathlib import Path
from uuid import UUID


class ChainError(Exception):
    """Root of what the chain raises."""


class UnreadableRowError(ChainError):
    """The row at `position` has no canonical bytes; the application never writes such a one."""

    def __init__(self, position: int, problem: str) -> None:
        super().__init__(f"position {position}: {problem}")
        self.position = position
        self.problem = problem


class MissingRowError(ChainError):
    """The log has a gap below its head, where rows are to be chained."""

    def __init__(self, position: int) -> None:
        super().__init__(f"the row at position {position} is gone")
        self.position = position


class ChainStoppedError(ChainError):
    """The chain could not be brought up to the log's head."""


class SealError(ChainError):
    """A seal does not prove what it should; the message is for a person."""


class SealKeyError(SealError):
    """The file holds no key of the kind that is needed, or cannot be read or made."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


class SealMalformedError(SealError):
    """The document is not, or not wholly, one of our seals."""


class SealSignatureError(SealError):
    """The signature is not that of this document by this key."""


class OtherLogError(SealError):
    """The seal is of another log."""

    def __init__(self, sealed: UUID, found: UUID) -> None:
        super().__init__(f"the seal is of log {sealed}, and this is log {found}")
        self.sealed = sealed
        self.found = found


class LogCutError(SealError):
    """The log ends before the sealed position: its end was cut off."""

    def __init__(self, position: int, head: int) -> None:
        super().__init__(f"position {position} was sealed, but the log ends at {head}")
        self.position = position
        self.head = head


class ChainCutError(SealError):
    """The log has the sealed position, but its chain ends before: blocks were removed."""

    def __init__(self, position: int, end: int) -> None:
        super().__init__(
            f"position {position} was sealed, but the chain ends at {end}: blocks were removed"
        )
        self.position = position
        self.end = end


class RewrittenError(SealError):
    """The log's chain is not the one that was sealed: it was rewritten there or before."""

    def __init__(self, position: int) -> None:
        super().__init__(
            f"the chain at position {position} is not the one that was sealed: "
            "the log was rewritten at that position or before it"
        )
        self.position = position
