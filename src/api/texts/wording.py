"""What people read about steps, failures and lines of the statement."""

from collections.abc import Mapping

from api.http.schemas import StepName
from api.texts.i18n import Message, msg
from ledger.facts import FailureReason

FAILURES: Mapping[FailureReason, Message] = {
    "blocked": msg("Generation failed: the content was declined as unsafe. Nothing was charged."),
    "no_image": msg("Generation failed: no image came back. Nothing was charged."),
    "timeout": msg("Generation failed: the service took too long. Nothing was charged."),
    "rate_limited": msg("Generation failed: the service is busy. Nothing was charged."),
    "provider_unavailable": msg(
        "Generation failed: the service cannot be reached. Nothing was charged."
    ),
    "invalid_response": msg(
        "Generation failed: the service's answer was not usable. Nothing was charged."
    ),
    "storage_failed": msg("Generation failed: the image could not be saved. Nothing was charged."),
    "canceled": msg("Generation canceled. Nothing was charged."),
    "expired": msg("Generation failed: it waited too long. Nothing was charged."),
}

STEPS: Mapping[StepName, Message] = {
    "validating": msg("Checking the request"),
    "generating": msg("Generating"),
    "storing": msg("Saving"),
    "completed": msg("Completed"),
}
"""The step `error` has its failure's message."""


def describe_transaction(reason: str, title: str | None) -> Message:
    """A line's description, by the reason that the view gives it."""
    match reason:
        case "welcome":
            return msg("Welcome tokens")
        case "promo":
            return msg("Promotional tokens")
        case "purchase":
            return msg("Tokens purchased")
        case "refund":
            return msg("Refund: {title}", title=title or "")
        case "generation":
            return msg("Image generation: {title}", title=title or "")
        case "revocation":
            return msg("Tokens taken back")
        case _:
            return msg("Adjustment")
