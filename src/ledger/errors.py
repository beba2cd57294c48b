"""What the ledger says no with. Subclasses carry facts; words are the edge's business.

LedgerError
├── Refusal                      nothing was written, and asking again changes nothing
│   ├── AccountNotFoundError
│   ├── AccountExistsError
│   ├── AmountOutOfRangeError    field, minimum, maximum
│   ├── GenerationNotFoundError
│   ├── InsufficientTokensError  cost, available
│   ├── KeyReusedError
│   ├── MembershipRequiredError
│   ├── PriceChangedError        cost
│   ├── RateLimitedError         retry_after_seconds
│   ├── ReferenceUsedError
│   ├── AlreadyRefundedError
│   ├── UnstorableTextError
│   └── BesideConflictError      constraint
├── TermsChangedError            nothing was written: look at the terms again
├── LedgerUnavailableError       the outcome is unknown: ask again with the same key
├── LedgerBusyError              the queue is full; nothing was written
└── CorruptLogError              the log says what cannot be
"""


class LedgerError(Exception):
    """Root of what the ledger raises."""


class Refusal(LedgerError):  # noqa: N818 - the field's own word
    """A command was refused; nothing was written."""


class AccountNotFoundError(Refusal):
    """No account has that id."""


class AccountExistsError(Refusal):
    """That account is open already."""


class AmountOutOfRangeError(Refusal):
    """An amount, or the balance that it would lead to, is outside its bounds."""

    def __init__(self, field: str, minimum: int, maximum: int) -> None:
        super().__init__(f"{field} must lie in {minimum}..{maximum}")
        self.field = field
        self.minimum = minimum
        self.maximum = maximum


class GenerationNotFoundError(Refusal):
    """The account never asked for that generation."""


class InsufficientTokensError(Refusal):
    """More was asked for than is available."""

    def __init__(self, cost: int, available: int) -> None:
        super().__init__(f"needs {cost}, available {available}")
        self.cost = cost
        self.available = available


class KeyReusedError(Refusal):
    """The idempotency key came with other input before."""


class MembershipRequiredError(Refusal):
    """The prompt is for members only."""


class PriceChangedError(Refusal):
    """The caller confirmed another price."""

    def __init__(self, cost: int) -> None:
        super().__init__(f"costs {cost} now")
        self.cost = cost


class RateLimitedError(Refusal):
    """Too many generations in the last minute."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"try again in {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


class ReferenceUsedError(Refusal):
    """That reference was granted to this account before."""


class AlreadyRefundedError(Refusal):
    """That generation's charge was given back before."""


class UnstorableTextError(Refusal):
    """A text cannot be stored: it holds a NUL or half of a pair, or is no account's id."""


class BesideConflictError(Refusal):
    """What was to be written beside the log is there already (an e-mail, say)."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class TermsChangedError(LedgerError):
    """A command was decided on terms that are not those of now; nothing was written."""


class LedgerUnavailableError(LedgerError):
    """The log is out of reach; whether the command was recorded is unknown."""


class LedgerBusyError(LedgerError):
    """Too many commands are waiting; this one was not taken."""


class CorruptLogError(LedgerError):
    """A stored fact cannot follow what stands before it."""

    def __init__(self, account_id: str, version: int, problem: str) -> None:
        super().__init__(f"account {account_id} version {version}: {problem}")
        self.account_id = account_id
        self.version = version
        self.problem = problem
