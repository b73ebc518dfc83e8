"""Providers for the tests of db-up: a fake one, and the development server with some of them."""

import pytest

from dbfoundation.errors import ServerError
from dbfoundation.server import binaries
from dbfoundation.server.development import DevelopmentServer
from tests.support import ignore

OURS = "a private server"
needs_programs = pytest.mark.skipif(
    binaries.unavailable_reason() is not None,
    reason=f"db-up --via local: {binaries.unavailable_reason()}",
)


class FakeProvider:
    """A provider whose server never starts; it may have data, a psql and a port."""

    name = "Fake"

    def __init__(
        self, *, unavailable=None, advice="install Fake", psql=None, own_port=None, data=False
    ):
        self.unavailable = unavailable
        self.own_port = own_port
        self.advice = advice
        self.command = psql
        self.data = data

    def unavailable_reason(self):
        return self.unavailable

    def place(self):
        return "a fake place"

    def holds(self, place):
        return self.data and place == self.place()

    def move_fix(self, _):
        return None

    def is_incomplete(self):
        return False

    def serves(self, _):
        return False

    def start(self, report):
        report("pulling its image")
        raise ServerError("its image cannot be pulled")

    def port(self):
        return self.own_port

    def stop(self, report):
        raise AssertionError(report)

    def log(self):
        return ""

    def psql(self):
        return self.command


def development_server(folder, settings, report=ignore, via=None, **providers):
    return DevelopmentServer(folder, settings, report, providers, via)
