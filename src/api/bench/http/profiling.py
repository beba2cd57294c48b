"""Where a request's processor time goes in the API process, by samples of what holds its lock."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from api.bench.sampler import Sampler

SAMPLES_A_SECOND = 500

PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "HTTP: parsing, connections, writing": ("uvicorn/", "api/http/bounded_http"),
        "log line, figures, headers": (
            *("api/http/observe", "api/logs", "structlog/", "prometheus_client/"),
            "api/metrics",
        ),
        "key of the caller": ("api/http/auth", "api/http/principals", "api/sessions/"),
        "body and its hash": ("api/generations/asked", "api/http/bodies", "multipart"),
        "looking up keys, prompts, earlier requests": (
            *("api/gathering", "api/generations/before", "api/generations/entering"),
            *("api/prompts/", "api/threads"),
            "anyio/",
        ),
        "accepting": (
            *("api/generations/requesting", "api/generations/handlers", "api/http/preferences"),
            *("api/generations/flights", "api/generations/plainly", "api/generations/recent"),
            *("ledger/ledger", "ledger/identity"),
        ),
        "deciding": ("ledger/decide", "ledger/account", "ledger/batch", "ledger/ahead"),
        "encoding for the log": ("ledger/codec", "ledger/wire", "ledger/log", "ledger/entry"),
        "committing": ("ledger/",),
        "answer": (
            *("api/generations/documents", "api/generations/accepted", "api/http/often"),
            "api/texts/",
        ),
        "framework": ("litestar/", "api/app", "api/routes", "api/http/parameters"),
        "watching for those who wait": ("api/generations/watcher",),
    }
)
"""By what it is for: parts of paths; the innermost frame that is in one of them counts."""

OTHER = "event loop, threads, interpreter"


def flame(pid: int, folder: Path, *, seconds: float) -> Sampler:
    """Samples a process for some seconds, for a flame graph in `folder`."""
    return Sampler(pid, folder / "http-accept-flame.svg", seconds=seconds, form="flamegraph")


class Stacks:
    """Samples a process for some seconds, into `folder`: stacks as text."""

    def __init__(self, pid: int, folder: Path, *, seconds: float) -> None:
        self._path = folder / "http-accept-stacks.txt"
        self._sampler = Sampler(
            pid, self._path, seconds=seconds, form="raw", samples_a_second=SAMPLES_A_SECOND
        )

    def shares(self) -> dict[str, float]:
        """What share of the samples each part has, once it is done."""
        self._sampler.wait()
        return shares_of(self._path.read_text(encoding="utf-8").splitlines())


def shares_of(lines: Iterable[str]) -> dict[str, float]:
    """The parts' shares of stacks in py-spy's raw form: frames from the outermost, and a count."""
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        counts[_part_of(stack.split(";"))] += int(count)
    total = counts.total() or 1
    return {part: counts[part] / total for part in (*PARTS, OTHER)}


def _part_of(frames: list[str]) -> str:
    for frame in reversed(frames):
        for part, places in PARTS.items():
            if any(place in frame for place in places):
                return part
    return OTHER
