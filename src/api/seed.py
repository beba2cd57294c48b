"""The demo account and the nine prompts that a fresh install begins with."""

from api.services import Services
from ledger.commands import Beside, OpenAccount, Submission
from ledger.errors import AccountExistsError, BesideConflictError

_PROFILE = "INSERT INTO profiles (account_id, email, name) VALUES (%s, %s, %s)"
DEMO_EMAIL = "demo@example.com"
DEMO_NAME = "演示用户"
DEMO_TOKENS = 100


def seed(services: Services) -> None:
    """Create what is missing; running it again changes nothing, whatever happened since."""
    account_id = services.settings.demo_user_id
    command = OpenAccount(account_id=account_id, is_member=True, tokens=DEMO_TOKENS)
    profile = Beside(_PROFILE, (account_id, DEMO_EMAIL, DEMO_NAME))
    try:
        services.ledger.record(Submission(command=command, actor="cli", beside=(profile,)))
    except (AccountExistsError, BesideConflictError):
        pass
