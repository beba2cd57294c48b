"""Our ledger while some ask for more than they can pay: each fiftieth request is refused."""

import random

from msgspec.structs import replace

from api.bench.callers import Step
from api.bench.ours import Warmed
from ledger.commands import RequestGeneration, Submission
from ledger.facts import AMOUNT_MAX

ONE_IN = 50


class Refusing(Warmed):
    """Those refused count as failed, and not as steps."""

    def _step(self, submission: Submission) -> Step:
        command = submission.command
        if isinstance(command, RequestGeneration) and random.randrange(ONE_IN) == 0:  # noqa: S311 - spreading load
            too_dear = replace(command, prompt=replace(command.prompt, token_cost=AMOUNT_MAX))
            submission = replace(submission, command=too_dear)
        return super()._step(submission)
