"""What a verification finds, each kind by its name."""

from typing import Literal

import msgspec

Kind = Literal[
    # A view's rows, against the fold.
    "row_missing",
    "row_unexpected",
    "row_duplicated",
    "row_differs",
    "account_unknown",
    # How far the views say they are.
    "view_unknown",
    "view_untracked",
    "position_beyond",
    # One account's stream.
    "version_gap",
    "version_repeated",
    "position_backwards",
    "balance_wrong",
    "negative",
    "requested_twice",
    "ended_twice",
    "ending_without_request",
    "cost_wrong",
    "fact_id_wrong",
    "refund_wrong",
    "impossible",
    "unreadable",
    "snapshot_differs",
    # The log as a whole.
    "position_gap",
    "position_repeated",
    "time_backwards",
    "id_repeated",
    "guard_missing",
    # What the log names in storage.
    "object_missing",
    "object_differs",
    # The chain over the log, and a seal kept elsewhere.
    "chain_broken",
    "seal_broken",
]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it must be.

    `position` is where in the log it shows: that of the row found wrong, or of the fact that it
    was made from. `detail` says what was expected and what was found.
    """

    kind: Kind
    detail: str
    view: str | None = None
    account_id: str | None = None
    position: int | None = None
    version: int | None = None
