"""Samples of a process that runs Python, by py-spy: where its time goes."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import click

END_SECONDS_MAX = 60.0
_TITLE = re.compile('(<text id="title"[^>]*>)[^<]*')
_FRAMES = '<svg id="frames"'
_TEXT = re.compile(">[^<]+<")


def find_py_spy() -> str:
    """The sampler. Says what to install where it is missing."""
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise click.ClickException("profiles need py-spy: run `make bench-peers` first")
    return found


def _checked(_: click.Context, __: click.Parameter, folder: Path | None) -> Path | None:
    """Say what is missing before anything is measured, not after it."""
    if folder is not None:
        find_py_spy()
    return folder


profile_option = click.option(
    "--profile",
    "profile",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    callback=_checked,
    help="Measure Mintage once more, being sampled, and write there where the time goes.",
)


class Sampler:
    """Samples whoever holds the interpreter's lock, from now on for so many seconds."""

    def __init__(
        self,
        pid: int,
        path: Path,
        *,
        seconds: float,
        form: Literal["flamegraph", "raw"],
        samples_a_second: int = 200,
    ) -> None:
        """Write to `path`: a flame graph as SVG, or each stack as a line of text with a count."""
        self._graph = path if form == "flamegraph" else None
        path.parent.mkdir(parents=True, exist_ok=True)
        often = ("--rate", str(samples_a_second), "--duration", str(max(round(seconds), 1)))
        where = ("--format", form, "--output", path, "--pid", str(pid))
        self._process = subprocess.Popen(  # noqa: S603 - a program that was asked for, no shell
            [find_py_spy(), "record", "--gil", *often, *where],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def wait(self) -> None:
        """Until it is written."""
        try:
            _, complaint = self._process.communicate(timeout=END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _, complaint = self._process.communicate()
        if self._process.returncode:
            words = complaint.decode(errors="replace").strip()[:500]
            raise click.ClickException(f"py-spy could not sample the process: {words}")
        if path := self._graph:
            drawn = path.read_text(encoding="utf-8")
            path.write_text(without_folders(drawn, path.stem), encoding="utf-8")


def without_folders(drawn: str, title: str) -> str:
    """A flame graph of py-spy that says nothing of this machine: another title, dots for slashes.

    Its own title is the command line; frames name files.
    """
    head, mark, frames = _TITLE.sub(rf"\g<1>{title}", drawn, count=1).partition(_FRAMES)
    return head + mark + _TEXT.sub(lambda text: text[0].replace("/", "."), frames)
