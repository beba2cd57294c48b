"""Litestar without the plugins that it takes for every library that it finds."""

from litestar import Litestar
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin


class Application(Litestar):
    """All that goes in and out is msgspec's.

    pydantic is here for the provider's package only, and is a fifth of what importing the API
    takes; a test watches that no API process imports it.
    """

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]
