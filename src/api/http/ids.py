"""The forms of ids and texts on the wire, shared by bodies, paths and the database's limits."""

from typing import Annotated

import msgspec

from ledger.facts import ACCOUNT_ID

ID_PATTERN = rf"^{ACCOUNT_ID.pattern}$(?!\n)"
NO_NUL = r"^[^\u0000]*$"
ONE_LINE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$(?!\n)"
"""What is shown within a line of others: nothing in it begins one, or steers a terminal."""

AccountId = Annotated[
    str, msgspec.Meta(pattern=ID_PATTERN, description="Account id.", examples=["demo-user-123"])
]
PromptId = Annotated[
    str, msgspec.Meta(pattern=ID_PATTERN, description="Prompt id.", examples=["dreamy-forest"])
]
Name = Annotated[str, msgspec.Meta(max_length=100, pattern=ONE_LINE, examples=["演示用户"])]
Note = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=2000, pattern=NO_NUL, description="Why; kept beside the log."
    ),
]
Email = Annotated[
    str,
    msgspec.Meta(
        max_length=254,
        pattern=r"^[^@\s\u0000]+@[^@\s\u0000]+$(?!\n)",
        description="Compared without regard to case.",
        examples=["demo@example.com"],
    ),
]
QUERY_CHARACTERS_MAX = 100


def is_id(text: str) -> bool:
    """Whether an account or a prompt can have that id at all."""
    return ACCOUNT_ID.fullmatch(text) is not None
