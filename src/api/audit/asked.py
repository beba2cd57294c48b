"""What of the log is asked for: the filters of a call or a command, checked."""

from typing import Any, Literal
from uuid import UUID

import msgspec

from api.http.cursors import Listing
from api.http.times import parse_time
from api.problems.field_errors import invalid
from api.texts.i18n import msg
from projections.audit.types import EventType
from projections.audit.walks import Filter

Order = Literal["asc", "desc"]
LIMIT_MAX = 1000
ACTOR_CHARACTERS_MAX = 200


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Filters as they were given."""

    account: str | None = None
    type: EventType | None = None
    generation: UUID | None = None
    actor: str | None = None
    since: str | None = None
    until: str | None = None
    after: int | None = None
    before: int | None = None
    order: Order = "desc"
    limit: int | None = None

    @property
    def descending(self) -> bool:
        """Whether the newest come first."""
        return self.order == "desc"

    def filter(self) -> Filter:
        """What it comes to. Raises `InvalidInputError` naming a field."""
        since = parse_time(self.since, "from") if self.since is not None else None
        until = parse_time(self.until, "to") if self.until is not None else None
        if since is not None and until is not None and since > until:
            raise invalid("from", msg("Must not be later than {other}.", other="to"))
        if self.after is not None and self.before is not None and self.after > self.before:
            raise invalid("after", msg("Must not be greater than {other}.", other="before"))
        return Filter(
            account=self.account,
            type=self.type,
            generation=self.generation,
            actor=self.actor,
            since=since,
            until=until,
            after=self.after,
            before=self.before,
        )

    def listing(self) -> Listing:
        """The list that it asks for, whatever the size of a page."""
        filters = msgspec.structs.asdict(self)
        del filters["limit"]
        return Listing("audit_events", **filters)

    def told(self) -> dict[str, Any]:
        """How it was asked, for the record of reads; whose data it is stands beside it."""
        words = {"since": "from", "until": "to"}
        return {
            words.get(name, name): value
            for name, value in msgspec.structs.asdict(self).items()
            if value is not None and name != "account"
        }
