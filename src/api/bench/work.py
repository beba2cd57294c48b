"""The work that every contender does, and who asks for it: accounts, callers, one step's data."""

import itertools
import random
from collections.abc import Callable, Mapping
from uuid import UUID

from ledger.facts import ImageRecord, PromptVersion
from ledger.identity import new_id

ACCOUNTS = 1000
TOKENS = 100_000_000
HOT = "bench-hot"
PROMPT = PromptVersion(id="bench", version=1, title="梦幻森林", token_cost=5)
POOL_SIZE = 16
"""Connections of each contender that has a pool; more did not make one of them quicker."""

PickAccount = Callable[[], str]

_ZIPF = list(itertools.accumulate(1 / rank for rank in range(1, ACCOUNTS + 1)))


def account_ids() -> list[str]:
    """The accounts over which work is spread, and the hot one."""
    return [f"bench-{number}" for number in range(ACCOUNTS)] + [HOT]


def uniform() -> str:
    """Any account but the hot one."""
    return f"bench-{random.randrange(ACCOUNTS)}"  # noqa: S311 - spreading load


def zipf() -> str:
    """The n-th account n times more seldom than the first, which has a seventh of all."""
    (number,) = random.choices(range(ACCOUNTS), cum_weights=_ZIPF)  # noqa: S311 - spreading load
    return f"bench-{number}"


def hot() -> str:
    """Always the same account."""
    return HOT


DISTRIBUTIONS: Mapping[str, PickAccount] = {"uniform": uniform, "zipf": zipf, "hot": hot}


def image(generation_id: UUID) -> ImageRecord:
    """What a settled generation names."""
    return ImageRecord(
        id=new_id(),
        key=f"bench/{generation_id}/1-0-0123456789abcdef.png",
        thumbnail_key=f"bench/{generation_id}/1-0-0123456789abcdef-thumbnail.webp",
        sha256="0" * 64,
        mime_type="image/png",
        width=1024,
        height=1024,
        bytes=1_500_000,
        model="bench",
    )
