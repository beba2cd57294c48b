"""The texts that scripts show, handed to them with the page. Braces are filled in there."""

from collections.abc import Mapping

from api.texts.i18n import Message, msg

SCRIPT_TEXTS: Mapping[str, Message] = {
    "unreachable": msg("The service cannot be reached just now."),
    "notAnswering": msg(
        "The service does not answer. Your press is sent again, and charged once at most."
    ),
    "gaveUp": msg("The service does not answer. Press again in a moment: nothing is done twice."),
    "choosePrompt": msg("Choose a subject first."),
    "tooFew": msg("Not enough tokens: {cost} needed, {available} available."),
    "sending": msg("Sending."),
    "priceChanged": msg("The price is {cost} now. Press again if that is fine."),
    "unconfirmed": msg(
        "Whether your last press arrived is not known. If it is not below, press again."
    ),
    "subjectGone": msg("This prompt does not exist any more. Choose another."),
    "unsupported": msg("The reference image is not a readable JPEG, PNG or WebP."),
    "tooLarge": msg("The picture is larger than {maximum} MB."),
    "referenceSet": msg("Reference image set: {name}"),
    "referenceGone": msg("Reference image removed."),
    "referenceLost": msg("Choose the reference image again, then press."),
    "earlierReference": msg("The picture sent in earlier"),
    "started": msg("Started: {title}"),
    "finished": msg("Ready: {title}"),
    "charged": msg("{cost} tokens charged"),
    "settings": msg("{count} × {ratio}"),
    "settingsWithReference": msg("{count} × {ratio}, with a reference image"),
    "imageOf": msg("{title}, picture {number}"),
}

LIST_TEXTS: Mapping[str, Message] = {
    "unreachable": SCRIPT_TEXTS["unreachable"],
    "gaveUp": SCRIPT_TEXTS["gaveUp"],
    "retry": msg("Try again"),
    "picked": msg("{count} selected"),
    "tooManyPicked": msg("{count} selected; one zip holds {maximum} at most."),
}
"""Those of the gallery, the statement and support."""
