"""`mintage up`: everything, on one machine, from one command."""

import json
import os
import shlex
import signal
import time
from types import FrameType

import click

from api.console import json_option, print_json, tell
from api.launch.stack import Service, Step, running

TEND_SECONDS = 0.2
INTERRUPTED = 130


class _Signals:
    """The first Ctrl-C or SIGTERM ends things in order, the second at once."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._asked:
            # Children and server die with us; nothing of theirs is half written.
            os._exit(INTERRUPTED)
        self._asked = True
        raise KeyboardInterrupt


@click.command()
@json_option
def up(*, as_json: bool) -> None:
    """Run everything until Ctrl-C: PostgreSQL, projector, worker, API.

    Without settings it is a demo: an embedded PostgreSQL and pictures in MINTAGE_HOME (./.mintage),
    a mock provider, one key for each role. DATABASE_URL, S3_ENDPOINT and GEMINI_API_KEY replace
    each of these. HOST, PORT and WORKERS say where and how the API listens.
    """
    began = time.monotonic()
    _Signals()
    is_up = False
    try:
        with running(os.environ, report=_report, tell=tell) as service:
            try:
                is_up = True
                seconds = time.monotonic() - began
                if as_json:
                    print_json(_document(service, seconds))
                else:
                    _print(service, seconds)
                while True:
                    service.tend()
                    time.sleep(TEND_SECONDS)
            except KeyboardInterrupt:
                tell("\nstopping; once more stops at once")
    except KeyboardInterrupt:
        tell("\nstopped" if is_up else "\nstopped before it was up")
        raise click.exceptions.Exit(INTERRUPTED) from None
    tell("stopped")


def _report(step: Step) -> None:
    tell(f"  {step.name:<11} {step.seconds:5.2f} s  {step.detail}")


def curl_line(service: Service) -> str:
    """One line for a shell: ask for a picture and wait for it. Empty where there is no prompt."""
    if service.prompt_id is None or "user" not in service.keys:
        return ""
    words = [
        *("curl", "-sS", f"{service.url}/v1/generations"),
        *("-H", f"Authorization: Bearer {service.keys['user']}"),
        *("-H", "Content-Type: application/json", "-H", "Prefer: wait=30"),
        *("-d", json.dumps({"prompt_id": service.prompt_id})),
    ]
    return shlex.join(words)


def _document(service: Service, seconds: float) -> dict[str, object]:
    postgres = service.postgres
    return {
        "url": service.url,
        "pid": os.getpid(),
        "seconds": round(seconds, 2),
        "keys": service.keys,
        "home": str(service.settings.home),
        "database": str(postgres.data_directory) if postgres else None,
        "provider": "mock" if service.settings.uses_mock else service.settings.gemini_model,
        "curl": curl_line(service),
    }


def _print(service: Service, seconds: float) -> None:
    settings = service.settings
    lines = [f"\nMintage is up after {seconds:.1f} s: {service.url}\n"]
    lines += [f"  {role:<8} {key}" for role, key in service.keys.items()]
    lines += [
        f"  data     {settings.home}",
        f"  database {_database(service)}",
        f"  pictures {settings.s3_endpoint or settings.home / 'storage'}",
        f"  drawn by {_provider(service)}",
    ]
    if line := curl_line(service):
        lines += ["\nTry it:\n", line]
    lines += ["\nCtrl-C stops it. What it logs follows.\n"]
    click.echo("\n".join(lines))


def _database(service: Service) -> str:
    if service.postgres is None:
        return "the one in DATABASE_URL"
    return str(service.postgres.data_directory)


def _provider(service: Service) -> str:
    if service.settings.uses_mock:
        return "the mock: set GEMINI_API_KEY for real pictures"
    return service.settings.gemini_model
