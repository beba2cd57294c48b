"""A process that writes to the ledger for its host: says `hub` once it listens, then waits."""

import sys
import time

from ledger.ledger import Ledger
from ledger_samples import plain, release

if __name__ == "__main__":
    ledger = Ledger(sys.argv[1], shares_writer=True)
    try:
        ledger.record(plain(release()))  # of what nobody asked for: refused, and enough to begin
    except Exception as error:  # noqa: BLE001 - told to whoever waits for the word
        print("hub", type(error).__name__, flush=True)
    time.sleep(600)
