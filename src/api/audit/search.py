"""Finding accounts by a part of their id, e-mail or name."""

from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from api.audit.documents import FoundAccount
from api.connection import Connection
from projections.reads import containing

# The numbers are those of each account's last event.
_SEARCH = """
SELECT found.account_id AS id, found.email, found.name, found.role, found.created_at,
       coalesce(last.settled - last.held, 0) AS available, coalesce(last.held, 0) AS held,
       coalesce(last.settled, 0) AS settled
FROM (
    SELECT * FROM profiles WHERE {where}
    ORDER BY created_at DESC, account_id DESC LIMIT %(limit)s
) AS found
LEFT JOIN LATERAL (
    SELECT settled, held FROM ledger_events AS e WHERE e.account_id = found.account_id
    ORDER BY e.version DESC LIMIT 1
) AS last ON true
ORDER BY found.created_at DESC, found.account_id DESC"""
_BEFORE = "(created_at, account_id) < (%(created_at)s, %(account_id)s)"
_LIKE = "searchable LIKE lower(%(pattern)s)"

Place = tuple[datetime, str]


def search_accounts(
    connection: Connection, q: str | None, *, before: Place | None = None, limit: int
) -> list[FoundAccount]:
    """At most `limit` accounts, the newest first, with `q` in their id, e-mail or name.

    In any case; its characters stand for themselves. An account without a profile, which only an
    import can have made, is not found.
    """
    created_at, account_id = before or (None, None)
    terms = [_BEFORE] if before else []
    values: dict[str, Any] = {"limit": limit, "created_at": created_at, "account_id": account_id}
    if q is not None:
        terms.append(_LIKE)
        values["pattern"] = containing(q)
    statement = _SEARCH.format(where=" AND ".join(terms) or "true")
    with connection.cursor(row_factory=class_row(FoundAccount)) as cursor:
        # Not prepared: which index is the right one depends on the text.
        return cursor.execute(statement.encode(), values, prepare=False).fetchall()
