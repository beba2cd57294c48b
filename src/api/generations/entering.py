"""Who asks for what: the caller by the key, and the prompt with its price.

One question answers both. It is remembered with the id of the terms that it was answered on, and
good for as long as the ledger finds those terms unchanged when it commits.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from api.connection import Connection
from api.gathering import Gathered
from api.generations.before import Offer
from api.http.principals import Principal
from ledger import terms
from ledger.facts import PromptVersion

REMEMBERED_MAX = 20_000
"""Keys, and so many prompts."""

_ENTERED = f"""
SELECT ({terms.CURRENT}), 'key:' || k.id, k.account_id, k.role,
       v.prompt_id, v.version, v.title, v.token_cost, v.members_only
FROM unnest(%s::bytea[], %s::text[]) WITH ORDINALITY AS asked (hash, prompt_id, place)
LEFT JOIN api_keys AS k ON k.hash = asked.hash AND k.revoked_at IS NULL
LEFT JOIN prompts AS p ON p.id = asked.prompt_id AND p.hidden_at IS NULL
LEFT JOIN prompt_versions AS v ON v.prompt_id = p.id AND v.version = p.version
ORDER BY place"""  # noqa: S608 - a constant


class Asking(NamedTuple):
    """The hash of the caller's key, and the prompt's id."""

    hashed: bytes
    prompt_id: str


class Entered(NamedTuple):
    """As it was on these terms; without any (the table's row is gone) nothing is remembered.

    None is a key that nobody has or that is revoked, a prompt that is not there or hidden.
    """

    terms: UUID | None
    caller: Principal | None
    offer: Offer | None


def enter(connection: Connection, asked: Sequence[Asking]) -> list[Entered]:
    """For many at once, in their order."""
    hashes, prompt_ids = [each.hashed for each in asked], [each.prompt_id for each in asked]
    rows = connection.execute(_ENTERED, (hashes, prompt_ids), prepare=True)
    return [
        Entered(
            on,
            Principal(actor=actor, role=role, account_id=account_id) if actor else None,
            Offer(
                PromptVersion(id=prompt_id, version=version, title=title, token_cost=token_cost),
                members_only,
            )
            if prompt_id
            else None,
        )
        for on, actor, account_id, role, prompt_id, version, title, token_cost, members_only in rows
    ]


class Entering:
    """Asks, and remembers what there is. For one event loop."""

    def __init__(self, question: Gathered[Asking, Entered]) -> None:
        self.question = question
        self._callers: dict[bytes, tuple[UUID, Principal]] = {}
        self._offers: dict[str, tuple[UUID, Offer]] = {}

    def remembered(self, asking: Asking) -> Entered | None:
        """What was found before, on terms that may have changed; None where nobody can tell."""
        caller, offer = self._callers.get(asking.hashed), self._offers.get(asking.prompt_id)
        if caller is None or offer is None or caller[0] != offer[0]:
            return None
        return Entered(caller[0], caller[1], offer[1])

    async def ask(self, asking: Asking) -> Entered:
        """As it is now. Raises `psycopg.OperationalError`."""
        entered = await self.question.get(asking)
        on, caller, offer = entered
        # Who may not ask at all is not kept: he is refused before the ledger would look.
        may_ask = caller is not None and caller.account_id is not None
        _keep(self._callers, asking.hashed, (on, caller) if on and may_ask else None)
        _keep(self._offers, asking.prompt_id, (on, offer) if on and offer else None)
        return entered


def _keep(remembered: dict[Any, Any], name: bytes | str, what: object | None) -> None:
    """Or forget what is not there any more: whoever asks for it is not to trouble the ledger."""
    if what is None:
        remembered.pop(name, None)
        return
    if len(remembered) >= REMEMBERED_MAX and name not in remembered:
        remembered.clear()  # rather than to keep count of who came when, in every request
    remembered[name] = what
