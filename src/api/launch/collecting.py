"""How often Python looks for garbage in cycles, in processes that serve many at once."""

import gc

YOUNG, MIDDLE, OLD = 50_000, 20, 100


def collect_seldom() -> None:
    """Set aside what start-up made, and look rarely; call it once everything is built.

    A look walks all that is cached. With Python's defaults the ledger's slowest answers at 256
    callers took twice as long, and a step a tenth more (`mintage bench ledger`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
