import base64
from uuid import UUID

from api_client import Api, png
from generation.objects import Origin, image_key, origin, reference_key
from generation.sweep import Sweep
from ledger.identity import new_id


def test_what_no_fact_names_is_swept_and_what_one_names_stays(api: Api) -> None:
    storage, ledger = api.services.storage, api.services.ledger
    account_id = api.account()
    user = api.client(api.key(account_id))
    body = {"prompt_id": "future-city", "reference_image": base64.b64encode(png()).decode()}
    still_open = user.post("/v1/generations", json=body).json()
    ended = user.post("/v1/generations", json=body).json()
    api.succeed(ended)
    named = {found.key for found in storage.list(f"{account_id}/")}
    assert len(named) == 4  # two references, an image and its thumbnail
    assert {origin(key) for key in named} == {
        Origin(account_id, generation_id)
        for generation_id in map(UUID, (still_open["id"], ended["id"]))
    }
    refused = reference_key(account_id, new_id(), "image/png")
    lost = image_key(account_id, UUID(ended["id"]), attempt=1, image=0, mime_type="image/png")
    drawn = image_key(account_id, UUID(still_open["id"]), attempt=1, image=0, mime_type="image/png")
    for key in (refused, lost, drawn):
        storage.put(key, png(), mime_type="image/png")
    assert Sweep(ledger, storage, grace_seconds=3600).run() == 0
    assert Sweep(ledger, storage, grace_seconds=0).run() == 2
    assert {found.key for found in storage.list(f"{account_id}/")} == {*named, drawn}
