"""Who asks for what, in one question: the caller by the key, and the prompt with its price."""

from collections.abc import Sequence
from typing import NamedTuple

from api.connection import Connection
from api.generations.before import Offer
from api.http.principals import Principal
from ledger.facts import PromptVersion

_ENTERED = """
SELECT 'key:' || k.id, k.account_id, k.role,
       v.prompt_id, v.version, v.title, v.token_cost, v.members_only
FROM unnest(%s::bytea[], %s::text[]) WITH ORDINALITY AS asked (hash, prompt_id, place)
LEFT JOIN api_keys AS k ON k.hash = asked.hash AND k.revoked_at IS NULL
LEFT JOIN prompts AS p ON p.id = asked.prompt_id AND p.hidden_at IS NULL
LEFT JOIN prompt_versions AS v ON v.prompt_id = p.id AND v.version = p.version
ORDER BY place"""


class Asking(NamedTuple):
    """The hash of the caller's key, and the prompt's id."""

    hashed: bytes
    prompt_id: str


class Entered(NamedTuple):
    """None is a key that nobody has or that is revoked, a prompt that is not there or hidden."""

    caller: Principal | None
    offer: Offer | None


def enter(connection: Connection, asked: Sequence[Asking]) -> list[Entered]:
    """For many at once, in their order."""
    hashes, prompt_ids = [each.hashed for each in asked], [each.prompt_id for each in asked]
    rows = connection.execute(_ENTERED, (hashes, prompt_ids), prepare=True)
    return [
        Entered(
            Principal(actor=actor, role=role, account_id=account_id) if actor else None,
            Offer(
                PromptVersion(id=prompt_id, version=version, title=title, token_cost=token_cost),
                members_only,
            )
            if prompt_id
            else None,
        )
        for actor, account_id, role, prompt_id, version, title, token_cost, members_only in rows
    ]
