import socket

import pytest


def test_unit_tests_cannot_reach_the_network() -> None:
    with pytest.raises(Exception, match="A test tried to use socket"):
        socket.create_connection(("127.0.0.1", 9))
