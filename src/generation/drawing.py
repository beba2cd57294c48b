"""The mock provider's hand: an ink landscape with a title on paper, as a real PNG."""

import hashlib
import io
import math
import random
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont
from PIL.PngImagePlugin import PngInfo

SIZES: dict[str, tuple[int, int]] = {
    "1:1": (1024, 1024),
    "3:2": (1248, 832),
    "2:3": (832, 1248),
    "4:3": (1184, 864),
    "3:4": (864, 1184),
    "16:9": (1344, 768),
    "9:16": (768, 1344),
}
"""Aspect ratio to width and height in pixels, as Gemini's."""

TITLE_CHARACTERS_MAX = 60
"""Longer titles are cut in the picture; the PNG's text chunk has all of it."""

_FONT = Path(__file__).with_name("fonts") / "mintage-kai.woff"
_INK = (38, 41, 46)
_BRONZE = (156, 106, 58)
_SEAL = (150, 52, 40)
_PAPERS = ((246, 240, 227), (240, 236, 228), (244, 235, 220), (236, 236, 230))
_MISTS = ((203, 190, 166), (178, 190, 188), (205, 180, 158), (186, 186, 200))
_RIDGES = 5

Colour = tuple[int, int, int]


def draw(
    *, title: str, content: str, aspect_ratio: str, reference: Image.Image | None, variation: str
) -> bytes:
    """Draw a PNG whose palette comes of `content`, its landscape of `variation` too.

    Raises `KeyError` for an aspect ratio outside `SIZES`.
    """
    size = SIZES[aspect_ratio]
    # Seeded drawing, not secrets: the same content is to look akin.
    mood = random.Random(_seed(content))  # noqa: S311
    shape = random.Random(_seed(content + variation))  # noqa: S311
    paper, mist = mood.choice(_PAPERS), mood.choice(_MISTS)
    if reference is not None:
        mist = _mix(mist, _mean(reference), 0.6)
    picture = _gradient(size, paper, mist)
    _sun(picture, mood, paper)
    _mountains(picture, shape, paper, _mix(mist, _INK, 0.75))
    if reference is not None:
        _mount(picture, reference)
    _letter(picture, title)
    info = PngInfo()
    info.add_itxt("Title", title.encode(errors="replace"))
    info.add_itxt("Software", f"Mintage mock provider, {variation}")
    out = io.BytesIO()
    picture.save(out, "PNG", pnginfo=info, compress_level=3)
    return out.getvalue()


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode(errors="replace")).digest()[:8])


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    r, g, b = (round(a + (z - a) * share) for a, z in zip(one, other, strict=True))
    return r, g, b


def _mean(image: Image.Image) -> Colour:
    found = image.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(found, tuple)
    return int(found[0]), int(found[1]), int(found[2])


def _gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    mask = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), mask)


def _sun(picture: Image.Image, mood: random.Random, paper: Colour) -> None:
    width, height = picture.size
    radius = min(width, height) * mood.uniform(0.10, 0.14)
    x, y = width * mood.uniform(0.62, 0.8), height * mood.uniform(0.2, 0.3)
    for scale, share in ((2.6, 0.10), (1.0, 0.85)):
        reach = radius * scale
        disc = Image.new("L", picture.size)
        ImageDraw.Draw(disc).ellipse((x - reach, y - reach, x + reach, y + reach), fill=255)
        soft = disc.filter(ImageFilter.BoxBlur(reach * 0.3 if scale > 1 else 1.5))
        mask = soft.point([round(value * share) for value in range(256)])
        picture.paste(_mix(_BRONZE, paper, 0.15), mask=mask)


def _mountains(picture: Image.Image, shape: random.Random, paper: Colour, ink: Colour) -> None:
    """Ridges from far and pale to near and dark, each fading into the mist below it."""
    width, height = picture.size
    fall = Image.linear_gradient("L").transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    for ridge in range(_RIDGES):
        near = (ridge + 1) / _RIDGES
        outline = _outline(shape, width, height * (0.42 + 0.42 * near), height * 0.11)
        mask = Image.new("L", picture.size)
        ImageDraw.Draw(mask).polygon([*outline, (width, height), (0, height)], fill=255)
        top = max(0, int(min(y for _, y in outline)))
        fading = Image.new("L", picture.size)
        fading.paste(fall.resize((width, height - top)).point(lambda v: 70 + v * 0.7), (0, top))
        soft = ImageChops.multiply(mask.filter(ImageFilter.BoxBlur(1)), fading)
        picture.paste(_mix(_mix(paper, ink, 0.35), ink, near), mask=soft)


def _outline(
    shape: random.Random, width: int, base: float, swing: float
) -> list[tuple[float, float]]:
    """Six octaves of sine waves round the height `base`."""
    waves = [
        (shape.uniform(0.6, 1.4) * 2**octave, shape.uniform(0, math.tau), 0.55**octave)
        for octave in range(6)
    ]
    return [
        (
            x,
            base
            - swing * sum(far * math.sin(x / width * math.tau * n + at) for n, at, far in waves),
        )
        for x in range(0, width + 8, 8)
    ]


def _mount(picture: Image.Image, reference: Image.Image) -> None:
    """Hang the reference in the upper left corner like a mounted photograph."""
    width, height = picture.size
    side = round(min(width, height) * 0.3)
    photo = reference.copy()
    photo.thumbnail((side, side))
    border, margin = max(6, side // 24), round(min(width, height) * 0.06)
    frame = (photo.width + 2 * border, photo.height + 2 * border)
    shadow = Image.new("L", picture.size)
    corner = (margin + border // 2, margin + border)
    shadow.paste(110, (*corner, corner[0] + frame[0], corner[1] + frame[1]))
    picture.paste(_INK, mask=shadow.filter(ImageFilter.BoxBlur(border)))
    picture.paste((250, 247, 240), (margin, margin, margin + frame[0], margin + frame[1]))
    picture.paste(photo, (margin + border, margin + border))


def _letter(picture: Image.Image, title: str) -> None:
    """Write the title at the lower left, in as many lines as it needs, and set the seal."""
    width, height = picture.size
    margin = round(min(width, height) * 0.06)
    seal = round(min(width, height) * 0.075)
    text = " ".join("".join(c if c.isprintable() else " " for c in title).split())
    font, lines = _fit(text[:TITLE_CHARACTERS_MAX], width - 3 * margin - seal, min(width, height))
    # Whatever the landscape, light letters need a dark ground.
    ground = Image.linear_gradient("L").resize((width, height // 3)).point(lambda v: v * 0.75)
    picture.paste(_INK, (0, height - ground.height, width, height), mask=ground)
    brush = ImageDraw.Draw(picture)
    step = round(font.size * 1.25)
    y = height - margin - step * len(lines)
    for line in lines:
        brush.text((margin, y), line, font=font, fill=(250, 246, 236), anchor="la")
        y += step
    left, top = width - margin - seal, height - margin - seal
    brush.rounded_rectangle((left, top, left + seal, top + seal), seal // 8, fill=_SEAL)
    mark = ImageFont.truetype(_FONT, seal * 0.72)
    middle = (left + seal / 2, top + seal / 2)
    brush.text(middle, "铸", font=mark, fill=(250, 240, 228), anchor="mm")


def _fit(text: str, room: float, side: int) -> tuple[ImageFont.FreeTypeFont, list[str]]:
    """Take the largest size, and the lines, at which the text stands in three lines at most."""
    for share, lines_max in ((0.11, 1), (0.085, 2), (0.065, 3), (0.05, 3)):
        font = ImageFont.truetype(_FONT, side * share)
        lines = _wrap(text, font, room)
        if len(lines) <= lines_max:
            break
    return font, lines


def _wrap(text: str, font: ImageFont.FreeTypeFont, room: float) -> list[str]:
    """Break after blanks where the script has them, else between any two characters."""
    lines, line = [], ""
    for character in text:
        if line and font.getlength(line + character) > room:
            head, blank, tail = line.rpartition(" ")
            lines.append(head if blank else line)
            line = tail if blank else ""
        line += character
    return [*lines, line] if line else lines
