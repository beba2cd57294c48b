"""The texts that scripts show, handed to them with the page. Braces are filled in there."""

from collections.abc import Mapping

from api.texts.i18n import Message, msg

SCRIPT_TEXTS: Mapping[str, Message] = {
    "unreachable": msg("The service cannot be reached. Trying again."),
    "loggedOut": msg("You are logged out."),
    "logIn": msg("Log in"),
    "choosePrompt": msg("Choose a subject first."),
    "tooFew": msg("Not enough tokens: {cost} needed, {available} available."),
    "sending": msg("Sending."),
    "unsupported": msg("The reference image is not a readable JPEG, PNG or WebP."),
    "tooLarge": msg("The picture is larger than {maximum} MB."),
    "referenceSet": msg("Reference image set: {name}"),
    "referenceGone": msg("Reference image removed."),
    "priceChanged": msg("The price is {cost} now. Press again if that is fine."),
    "unconfirmed": msg(
        "Whether your last press arrived is not known. If it is not below, press again."
    ),
    "started": msg("Started: {title}"),
    "finished": msg("Ready: {title}"),
    "waiting": msg("Waiting for its turn"),
    "imageOf": msg("{title}, picture {number}"),
    "mark": msg("Mark as favourite"),
    "unmark": msg("Remove from favourites"),
    "referenceLost": msg("Choose the reference image again, then press."),
    "notReached": msg("The service cannot be reached."),
    "retry": msg("Try again"),
    "picked": msg("{count} selected"),
    "tooManyPicked": msg("{count} selected; one zip holds {maximum} at most."),
    "charged": msg("{cost} tokens charged"),
    "newBalance": msg("Available: {available} tokens"),
}
