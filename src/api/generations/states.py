"""How generations stand, for many at once."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from api.connection import Connection
from api.generations.documents import Seen
from generation.leases import steps_of
from ledger import snapshots
from ledger.entry import Entry
from ledger.facts import TokensConsumed
from ledger.identity import ending_id
from ledger.log import entries, select_known

_FAVORITES = """
SELECT f.account_id, f.image_id
FROM unnest(%s::text[], %s::uuid[]) AS asked (account_id, image_id)
JOIN favorites AS f USING (account_id, image_id)"""


def states_of(connection: Connection, requests: Sequence[Entry]) -> list[Seen]:
    """As the log has them now, from their requests' entries; in that order."""
    endings = _endings(connection, requests)
    waiting = [request.fact_id for request in requests if request.fact_id not in endings]
    steps = steps_of(connection, waiting) if waiting else {}
    favorites = _favorites(connection, endings.values())
    names = list({request.account_id for request in requests})
    accounts = snapshots.load(connection, names)
    return [
        Seen(
            request=request,
            ending=endings.get(request.fact_id),
            step=steps.get(request.fact_id),
            available=accounts[request.account_id].available,
            favorites=favorites.get(request.account_id, ()),
        )
        for request in requests
    ]


def _endings(connection: Connection, requests: Sequence[Entry]) -> dict[UUID, Entry]:
    """By the generations' ids."""
    ids = {ending_id(request.fact_id): request.fact_id for request in requests}
    found = entries(select_known(connection, list(ids)))
    return {ids[entry.fact_id]: entry for entry in found if entry.fact_id in ids}


def _favorites(connection: Connection, endings: Iterable[Entry]) -> dict[str, set[UUID]]:
    """Those among the endings' images, by account."""
    asked = [
        (entry.account_id, image.id)
        for entry in endings
        if isinstance(entry.fact, TokensConsumed)
        for image in entry.fact.images
    ]
    found: dict[str, set[UUID]] = defaultdict(set)
    if asked:
        names, ids = zip(*asked, strict=True)
        for name, image_id in connection.execute(_FAVORITES, (list(names), list(ids))):
            found[name].add(image_id)
    return found
