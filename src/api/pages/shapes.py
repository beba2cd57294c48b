"""The shapes that pictures have on a page, so that each has its place before it is there."""

from typing import get_args

from api.http.schemas import AspectRatio

RATIOS: tuple[AspectRatio, ...] = get_args(AspectRatio)


def nearest_ratio(width: int, height: int) -> AspectRatio:
    """The ratio that we know which is the most like that of the picture."""

    def distance(ratio: AspectRatio) -> float:
        across, down = map(int, ratio.split(":"))
        shape, known = width / height, across / down
        return max(shape / known, known / shape)

    return min(RATIOS, key=distance)
