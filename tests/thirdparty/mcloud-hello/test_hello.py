"""The plugin keeps mcloud's contract, on a fresh machine and on one that greets already."""

import mcloud_hello

from mcloud.testing import FakeFile, FakeHost, PluginContract


class TestHello(PluginContract):
    name = "hello"
    plugin: object = mcloud_hello
    settings = {"greeting": "good morning"}  # noqa: RUF012 - the contract's way


class TestHelloWhereSomebodyGreetedBefore(TestHello):
    def host(self) -> FakeHost:
        return FakeHost(files={mcloud_hello.FILE: FakeFile(content=b"go away", mode=0o600, owner="me:us")})
