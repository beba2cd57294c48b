import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import pytest_socket

import databases

TESTS = Path(__file__).parent

hypothesis.settings.register_profile(
    "default", max_examples=25, stateful_step_count=25, deadline=None, print_blob=True
)
hypothesis.settings.register_profile(
    "long", max_examples=1000, stateful_step_count=50, deadline=None, print_blob=True
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="run the tests marked long, and those only"
    )


@pytest.hookimpl(tryfirst=True)  # Hypothesis reads its seed in the same hook
def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("hypothesis_seed", None) is None:
        given = getattr(config, "workerinput", {}).get("hypothesis_seed")
        config.option.hypothesis_seed = given or str(random.SystemRandom().randrange(2**32))
    # A shell that starts us in the background has it ignored, and what we start would not hear it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.load_profile("long" if config.getoption("long") else "default")


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_configure_node(node: Any) -> None:
    # Several processes test with the one seed that the header names.
    node.workerinput["hypothesis_seed"] = node.config.getoption("hypothesis_seed")


def pytest_report_header(config: pytest.Config) -> str:
    seed = config.getoption("hypothesis_seed")
    profile = "long" if config.getoption("long") else "default"
    return f"hypothesis: profile {profile}, repeat with --hypothesis-seed={seed}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Deselected, not skipped: a skip would say that something could not be tried.
    long = config.getoption("long")
    other = [item for item in items if bool(item.get_closest_marker("long")) != long]
    if other:
        config.hook.pytest_deselected(items=other)
        items[:] = [item for item in items if item not in set(other)]


@pytest.fixture(autouse=True)
def _no_network_in_unit_tests(request: pytest.FixtureRequest) -> Iterator[None]:
    if not request.path.is_relative_to(TESTS / "unit"):
        yield
        return
    # An event loop wakes itself through a pair of Unix sockets.
    pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def _settings_of_ours_only() -> None:
    # What the person at this machine has set must not steer the tests.
    for name in (
        "DATABASE_URL",
        "MIGRATION_DATABASE_URL",
        "MINTAGE_HOME",
        "MINTAGE_ADMIN_KEY",
        "MINTAGE_ENV",
        "MINTAGE_SEAL_KEY_FILE",
        "GEMINI_API_KEY",
        "GEMINI_BASE_URL",
        "S3_ENDPOINT",
    ):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def database_server() -> Iterator[databases.TestServer]:
    """The one server of this run."""
    with databases.running_server() as server:
        yield server


@pytest.fixture
def database(database_server: databases.TestServer) -> Iterator[databases.Database]:
    """A migrated, empty database of the test's own: `.url` for the application, `.owner_url`."""
    with database_server.database() as database:
        yield database
