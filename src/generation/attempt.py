"""One attempt at a generation: from its lease to its ending.

    claimed → still open? → call the provider for each missing image → check → store → settle
                                   └ fails for good → release

What was stored is written to the lease first, so that a successor adopts it instead of paying
again. The provider is called at least once; the charge happens once or not at all, since the
account ends a generation only once.
"""

import asyncio
import hashlib
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, get_args

import msgspec
import structlog

from generation import leases, metrics, objects, pictures
from generation.leases import Call, Lease, Note, StoredImage
from generation.provider import ImageRequest, ProviderError, ProviderImage, Reference
from generation.room import Part
from generation.storage import StorageError
from generation.workshop import Workshop
from ledger.commands import ReleaseGeneration, SettleGeneration, Submission
from ledger.errors import LedgerError
from ledger.facts import FailureReason, GenerationRequested, ImageRecord
from ledger.identity import ending_id, new_id

PUT_ATTEMPTS_MAX = 3
BACKOFF_SECONDS = 1.0
BACKOFF_SECONDS_MAX = 30.0

# What a caller may hope for when asking anew; a block or an empty answer would only come again.
RETRYABLE: Mapping[FailureReason, bool] = {
    reason: reason not in {"blocked", "no_image", "canceled"} for reason in get_args(FailureReason)
}

_log = structlog.get_logger("generation.attempt")


class Failed(Exception):  # noqa: N818 - not an error: the way a generation ends
    """The generation is to be released, for this reason."""

    def __init__(self, reason: FailureReason) -> None:
        super().__init__(reason)
        self.reason = reason


class Drawn(NamedTuple):
    """A provider's picture that has been decoded."""

    image: ProviderImage
    picture: pictures.Picture
    thumbnail: bytes


class Attempt:
    """Runs one lease. Whatever happens, nothing is charged but by the one settling fact."""

    def __init__(self, lease: Lease, shop: Workshop) -> None:
        self._lease = lease
        self._shop = shop
        self._calls: list[Call] = list(lease.calls)
        self._to_draw = 0

    async def run(self) -> None:
        """End the generation, or find that it has ended. Raises `LeaseLostError`."""
        lease, shop = self._lease, self._shop
        entry, ending = await asyncio.gather(
            shop.find(lease.generation_id), shop.find(ending_id(lease.generation_id))
        )
        if entry is None or ending is not None:
            return  # the view that we claimed from was behind the log
        request = entry.fact
        assert isinstance(request, GenerationRequested)
        expires = entry.at.timestamp() + shop.limits.deadline_seconds
        try:
            async with asyncio.timeout(expires - datetime.now(UTC).timestamp()):
                images = await self._images(request)
        except TimeoutError:
            await self._release("expired", entry.at)
        except Failed as failed:
            await self._release(failed.reason, entry.at)
        else:
            await self._settle(images, entry.at)

    async def _images(self, request: GenerationRequested) -> tuple[ImageRecord, ...]:
        stored = {found.image: found.record for found in self._lease.stored}
        missing = [image for image in range(request.count) if image not in stored]
        if missing:
            asked = await self._image_request(request)
            self._to_draw = len(missing)
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = {i: group.create_task(self._image(asked, i)) for i in missing}
            except ExceptionGroup as failures:
                raise _first(failures) from None
            stored |= {image: task.result() for image, task in tasks.items()}
        return tuple(stored[image] for image in range(request.count))

    async def _image_request(self, request: GenerationRequested) -> ImageRequest:
        reference = None
        if request.reference:
            get = partial(self._shop.storage.get, request.reference.key)
            data = await self._with_storage(get)
            reference = Reference(data=data, mime_type=request.reference.mime_type)
        return ImageRequest(
            title=request.prompt.title,
            content=await self._shop.content(request.prompt),
            aspect_ratio=request.aspect_ratio,
            reference=reference,
        )

    async def _image(self, asked: ImageRequest, image: int) -> ImageRecord:
        with self._shop.room.part() as part:
            return await self._store(await self._draw(asked, image, part), image)

    async def _draw(self, asked: ImageRequest, image: int, part: Part) -> Drawn:
        shop = self._shop
        begun = self._lease.begun(image)
        while begun < shop.limits.attempts_max:
            begun += 1
            call = Call(attempt=self._lease.attempt, image=image, started_at=datetime.now(UTC))
            # Before it: a call that kills its worker counts too.
            await self._note_call(call, step="generating")
            try:
                drawn = await self._developed(await shop.provider.generate(asked, part))
            except ProviderError as error:
                part.empty()
                await self._note_call(call, error.reason)
                _log.warning("provider call failed", reason=error.reason, detail=error.message)
                if not error.retryable or begun == shop.limits.attempts_max:
                    raise Failed(error.reason) from None
                await asyncio.sleep(_wait_seconds(begun, error))
            else:
                self._to_draw -= 1
                await self._note_call(call, "ok", step=None if self._to_draw else "storing")
                return drawn
        raise Failed("provider_unavailable")  # each call's worker died in it

    async def _developed(self, image: ProviderImage) -> Drawn:
        """What the bytes really are: a provider's word for it is not taken."""
        try:
            picture, thumbnail = await self._shop.develop(image.data)
        except pictures.UnsupportedPictureError as error:
            raise ProviderError(
                "invalid_response", retryable=True, message=f"no picture in the answer: {error}"
            ) from None
        return Drawn(image, picture, thumbnail)

    async def _store(self, drawn: Drawn, image: int) -> ImageRecord:
        lease, data, picture = self._lease, drawn.image.data, drawn.picture
        key = objects.image_key(
            lease.account_id,
            lease.generation_id,
            attempt=lease.attempt,
            image=image,
            mime_type=picture.mime_type,
        )
        thumbnail_key = objects.thumbnail_key(key)
        put = self._shop.storage.put
        stored = partial(put, key, data, mime_type=picture.mime_type)
        reduced = partial(put, thumbnail_key, drawn.thumbnail, mime_type="image/webp")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._with_storage(stored))
            group.create_task(self._with_storage(reduced))
        record = ImageRecord(
            id=new_id(),
            key=key,
            thumbnail_key=thumbnail_key,
            sha256=hashlib.sha256(data).hexdigest(),
            mime_type=picture.mime_type,
            width=picture.width,
            height=picture.height,
            bytes=len(data),
            model=drawn.image.model,
            response_id=drawn.image.response_id,
            usage=drawn.image.usage,
        )
        await self._note(stored=(StoredImage(image=image, record=record),))
        return record

    async def _with_storage(self, call: Callable[[], Any]) -> Any:
        for attempt in range(1, PUT_ATTEMPTS_MAX + 1):
            try:
                return await self._shop.store(call)
            except StorageError as error:
                _log.warning("storage failed", attempt=attempt, detail=str(error))
                if attempt < PUT_ATTEMPTS_MAX:
                    await asyncio.sleep(BACKOFF_SECONDS * attempt)
        raise Failed("storage_failed")

    async def _note_call(
        self, call: Call, outcome: str | None = None, *, step: leases.Step | None = None
    ) -> None:
        if outcome:
            ended_at = datetime.now(UTC)
            metrics.PROVIDER_CALLS.labels(self._shop.provider.name, outcome).inc()
            metrics.PROVIDER_SECONDS.observe((ended_at - call.started_at).total_seconds())
            call = msgspec.structs.replace(call, ended_at=ended_at, outcome=outcome)
        self._calls.append(call)
        await self._note(step=step, calls=(call,))

    async def _note(
        self,
        *,
        step: leases.Step | None = None,
        stored: tuple[StoredImage, ...] = (),
        calls: tuple[Call, ...] = (),
    ) -> None:
        lease = self._lease
        note = Note(
            id=lease.generation_id, attempt=lease.attempt, step=step, stored=stored, calls=calls
        )
        await self._shop.note(note)

    async def _settle(self, images: tuple[ImageRecord, ...], requested_at: datetime) -> None:
        command = SettleGeneration(
            account_id=self._lease.account_id,
            generation_id=self._lease.generation_id,
            images=images,
            attempts=tuple(self._history()),
        )
        await self._end(command, requested_at, "succeeded")

    async def _release(self, reason: FailureReason, requested_at: datetime) -> None:
        command = ReleaseGeneration(
            account_id=self._lease.account_id,
            generation_id=self._lease.generation_id,
            reason=reason,
            retryable=RETRYABLE[reason],
            attempts=tuple(self._history()),
        )
        await self._end(command, requested_at, reason)

    async def _end(
        self, command: SettleGeneration | ReleaseGeneration, requested_at: datetime, outcome: str
    ) -> None:
        try:
            submission = Submission(command=command, actor=f"worker:{self._shop.worker}")
            ended = await self._shop.ledger.record_async(submission)
        except LedgerError as error:
            # Unknown: the lease runs out and a successor asks the log.
            _log.error("ending not recorded", outcome=outcome, error=type(error).__name__)
            return
        if ended.replayed:
            _log.info("another ending came first", outcome=outcome)
            return
        seconds = (ended.entries[0].at - requested_at).total_seconds()
        metrics.GENERATION_SECONDS.labels(outcome).observe(seconds)
        _log.info("generation ended", outcome=outcome, seconds=round(seconds, 3))

    def _history(self) -> list[Any]:
        lease = msgspec.structs.replace(self._lease, calls=self._calls)
        return lease.history(datetime.now(UTC))


def _wait_seconds(begun: int, error: ProviderError) -> float:
    """As long as we were told, or twice as long each time; never all workers at one moment."""
    backoff: float = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS * 2 ** (begun - 1))
    return max(error.retry_after_seconds or 0, backoff * random.uniform(0.5, 1))  # noqa: S311


def _first(group: ExceptionGroup[Exception]) -> Exception:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, ExceptionGroup) else found
