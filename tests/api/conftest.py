from collections.abc import Iterator

import pytest

import databases
from api_client import Api, serving, settings_for


@pytest.fixture(scope="module")
def api(
    database_server: databases.TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """One service for the tests of a module; each test works on accounts of its own."""
    with database_server.database() as database:
        settings = settings_for(database.url, tmp_path_factory.mktemp("home"))
        with serving(settings) as api:
            yield api
