"""One writer a host: the processes beside it hand it their commands, and it answers them.

Two processes that write in turn each read under the writers' lock what the other has written, and
write small batches. So the first one of a host listens (`Hub`), the others are its guests
(`Guest`): `Relay` is whichever a process is. Nothing rests on it: whoever finds nobody, loses the
hub or waits too long records for itself, under the lock and looked up by id, as if it were alone.
"""

from ledger.relay.hub import Reply
from ledger.relay.relay import Relay

__all__ = ["Relay", "Reply"]
