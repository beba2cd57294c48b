"""Checking pictures: what is taken, what is refused, and that nothing of the sender stays."""

import io
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from generation import pictures
from generation.pictures import (
    CleanPicture,
    Picture,
    UnsupportedPictureError,
    clean_reference,
    inspect,
    thumbnail,
)

RED, GREEN, BLUE = (220, 20, 20), (20, 200, 20), (20, 20, 220)
MIME_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
GPS_INFO, ORIENTATION, MAKE = 0x8825, 0x0112, 0x010F


def encode(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def decode(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def corners(width: int = 80, height: int = 40) -> Image.Image:
    """Red at the left above, green at the right above, blue below."""
    image = Image.new("RGB", (width, height), BLUE)
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    return image


def pixel(data: bytes, x: int, y: int) -> tuple[int, ...]:
    found = decode(data).convert("RGB").getpixel((x, y))
    assert isinstance(found, tuple)
    return found


def near(found: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return all(abs(a - b) < 25 for a, b in zip(found, expected, strict=True))


def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png(width: int, height: int, *, before: bytes = b"", after: bytes = b"") -> bytes:
    """A black 1-bit PNG, written piece by piece: it costs nothing to make a huge one."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    body = before + chunk(b"IDAT", rows) + after + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def inflating(kind: bytes, keyword: bytes) -> bytes:
    """200 MB of zeros in a compressed chunk."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1_000_000)) for _ in range(200)) + packer.flush()
    return chunk(kind, keyword + b"\0\0" + packed)


def animated(form: str) -> bytes:
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, GREEN)]
    return encode(frames[0], form, save_all=True, append_images=frames[1:], duration=100)


def camera_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[MAKE] = "Secret Camera"
    exif.get_ifd(GPS_INFO)[2] = (31.0, 14.0, 5.0)
    return exif


JPEG = encode(corners(), "JPEG", quality=95)
PHOTO = encode(Image.effect_noise((256, 256), 80).convert("RGB"), "JPEG")

REFUSED: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "30000 x 30000 PNG": lambda: png(30_000, 30_000),
    "a side too long": lambda: png(8193, 8),
    "too many pixels, below Pillow's own error": lambda: png(8192, 3200),
    "zTXt bomb": lambda: png(8, 8, before=inflating(b"zTXt", b"Comment")),
    "zTXt bomb at the end": lambda: png(8, 8, after=inflating(b"zTXt", b"Comment")),
    "iTXt bomb": lambda: png(8, 8, before=inflating(b"iTXt", b"Comment\0\1\0")),
    "iCCP bomb": lambda: png(8, 8, before=inflating(b"iCCP", b"profile")),
    "JPEG cut in the middle": lambda: PHOTO[: len(PHOTO) // 2],
    "JPEG cut in its header": lambda: JPEG[:30],
    "PNG cut off": lambda: encode(corners(), "PNG")[:-40],
    "PNG with a wrong checksum": lambda: png(8, 8)[:29] + b"\0\0\0\0" + png(8, 8)[33:],
    "WebP cut off": lambda: encode(corners(), "WEBP")[:-20],
    "WebP too large": lambda: encode(Image.new("L", (4100, 4100)), "WEBP", method=0, quality=1),
    "GIF": lambda: encode(corners(), "GIF"),
    "TIFF": lambda: encode(corners(), "TIFF"),
    "animated WebP": lambda: animated("WEBP"),
    "animated PNG": lambda: animated("PNG"),
    "SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "HTML": lambda: b"<!doctype html><script>alert(1)</script>",
    "PDF": lambda: encode(corners(), "PDF"),
    "random": lambda: bytes(range(256)) * 10,
    "signature of JPEG alone": lambda: b"\xff\xd8\xff\xe0" + b"\0" * 100,
    "more bytes than we take": lambda: JPEG + bytes(pictures.PICTURE_BYTES_MAX),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_of_ours_is_refused(name: str) -> None:
    data = REFUSED[name]()
    checks: tuple[Callable[[bytes], object], ...] = (inspect, clean_reference, thumbnail)
    for check in checks:
        with pytest.raises(UnsupportedPictureError):
            check(data)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        *((name, "not a JPEG, PNG or WebP") for name in ("GIF", "TIFF", "PDF", "SVG", "HTML")),
        ("30000 x 30000 PNG", "pixels"),
        ("too many pixels, below Pillow's own error", "pixels"),
        ("a side too long", "side"),
        ("animated WebP", "animation"),
        ("JPEG cut in the middle", "cut off"),
    ],
)
def test_the_refusal_tells_why_before_any_other_decoder_is_asked(name: str, why: str) -> None:
    with pytest.raises(UnsupportedPictureError, match=why):
        clean_reference(REFUSED[name]())


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_good_picture_is_known_by_its_bytes(form: str) -> None:
    data = encode(corners(), form, quality=95)
    assert inspect(data) == Picture(mime_type=MIME_TYPES[form], width=80, height=40)  # type: ignore[arg-type]
    cleaned = clean_reference(data)
    assert (cleaned.mime_type, cleaned.width, cleaned.height) == (MIME_TYPES[form], 80, 40)
    assert decode(cleaned.data).format == form
    for x, y, colour in ((5, 5, RED), (75, 5, GREEN), (40, 35, BLUE)):
        assert near(pixel(cleaned.data, x, y), colour)


def test_a_phone_photo_is_turned_and_loses_place_and_maker() -> None:
    data = encode(corners(), "JPEG", quality=95, exif=camera_exif(6), comment=b"Secret comment")
    assert decode(data).getexif().get_ifd(GPS_INFO)
    assert inspect(data) == Picture(mime_type="image/jpeg", width=40, height=80)
    cleaned = clean_reference(data)
    assert (cleaned.width, cleaned.height) == (40, 80)
    assert near(pixel(cleaned.data, 35, 5), RED)  # what was left above is right above
    assert near(pixel(cleaned.data, 35, 75), GREEN)
    for made in (cleaned.data, thumbnail(data)):
        assert b"Secret" not in made
        assert not dict(decode(made).getexif())
        assert decode(made).size == (40, 80)


def test_text_profiles_and_comments_of_a_png_are_gone() -> None:
    info = PngInfo()
    info.add_text("Author", "Secret name")
    info.add_itxt("XML:com.adobe.xmp", "Secret place")
    data = encode(corners(), "PNG", pnginfo=info, icc_profile=b"Secret profile" * 20, dpi=(72, 72))
    cleaned = clean_reference(data)
    assert set(decode(cleaned.data).info) == set()
    for made in (cleaned.data, thumbnail(data)):
        assert b"Secret" not in made
        assert b"iCCP" not in made


def test_a_phone_jpeg_with_a_second_picture_is_a_jpeg() -> None:
    data = encode(corners(), "MPO", save_all=True, append_images=[Image.new("RGB", (80, 40), RED)])
    assert decode(data).format == "MPO"
    assert inspect(data).mime_type == "image/jpeg"
    cleaned = clean_reference(data)
    assert decode(cleaned.data).format == "JPEG"
    assert near(pixel(cleaned.data, 40, 35), BLUE)


def test_cmyk_palette_grey_and_16_bit_come_out_as_plain_colours() -> None:
    cases = {
        "CMYK JPEG": (encode(corners().convert("CMYK"), "JPEG", quality=95), RED),
        "palette PNG": (encode(corners().quantize(8), "PNG"), RED),
        "grey JPEG": (encode(Image.new("L", (80, 40), 128), "JPEG"), (128, 128, 128)),
        "1-bit PNG": (encode(Image.new("1", (80, 40), 1), "PNG"), (255, 255, 255)),
        "16-bit PNG": (encode(Image.new("I;16", (80, 40), 0x8000), "PNG"), (128, 128, 128)),
    }
    for name, (data, colour) in cases.items():
        cleaned = clean_reference(data)
        assert decode(cleaned.data).mode == "RGB", name
        for made in (cleaned.data, thumbnail(data)):
            assert near(pixel(made, 5, 5), colour), name


def test_transparency_stays() -> None:
    image = Image.new("RGBA", (80, 40), (*RED, 0))
    image.paste((*BLUE, 255), (0, 0, 40, 40))
    palette = encode(image.quantize(8), "PNG")
    for data in (encode(image, "PNG"), encode(image, "WEBP"), palette):
        for made in (clean_reference(data).data, thumbnail(data)):
            alpha = decode(made).getchannel("A")
            assert (alpha.getpixel((5, 5)), alpha.getpixel((75, 5))) == (255, 0)


def test_a_large_reference_is_made_smaller() -> None:
    cleaned = clean_reference(png(8192, 2000))
    assert (cleaned.width, cleaned.height) == (pictures.CLEAN_SIDE_PIXELS_MAX, 1000)


def test_a_reference_that_stays_large_becomes_a_smaller_jpeg(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = Image.effect_noise((512, 512), 100).convert("RGBA")
    noise.putalpha(128)
    data = encode(noise, "PNG")
    monkeypatch.setattr(pictures, "CLEAN_BYTES_MAX", 30_000)
    cleaned = clean_reference(data)
    assert len(cleaned.data) <= 30_000
    assert (cleaned.mime_type, cleaned.width) == ("image/jpeg", 128)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1024, 512), (512, 256)), ((300, 1500), (102, 512)), ((40, 20), (40, 20))],
)
def test_a_thumbnail_is_a_small_webp(size: tuple[int, int], expected: tuple[int, int]) -> None:
    made = decode(thumbnail(encode(corners(*size), "PNG")))
    assert (made.format, made.size) == ("WEBP", expected)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_one_decoding_tells_what_two_would(form: str) -> None:
    exif = {} if form == "PNG" else {"exif": camera_exif(6)}
    data = encode(corners(1600, 800), form, **exif)
    picture, reduced = pictures.develop(data)
    assert picture == pictures.inspect(data)
    once, twice = decode(reduced), decode(pictures.thumbnail(data))
    assert (once.format, once.size) == (twice.format, twice.size)
    assert near(pixel(reduced, 5, 5), pixel(pictures.thumbnail(data), 5, 5))
    with pytest.raises(pictures.UnsupportedPictureError):
        pictures.develop(data[: len(data) // 2])


def test_threads_do_not_disturb_each_other() -> None:
    good, bad = encode(corners(), "PNG"), png(8192, 3200)

    def attempt(number: int) -> CleanPicture | None:
        try:
            return clean_reference(bad if number % 2 else good)
        except UnsupportedPictureError:
            return None

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(attempt, range(40)))
    assert [result is None for result in results] == [bool(number % 2) for number in range(40)]
