"""Two invented services, one of which uses what the other offers, and clouds that are made of them."""

import threading
from collections import Counter
from functools import partial

import pytest

from mcloud import JoinToken, Manifest, Offer, ServiceError, Step, StorageAccess, StoragePool, hookimpl
from mcloud.testing import FakeCloud, FakeHost, memory_folder


class Brick(Offer):
    """What one machine gives to the store."""

    machine: str


def _file(name, path, text, *, mode=0o644, **more):
    """Return a step that writes a file."""

    def run(ctx):
        content = text(ctx) if callable(text) else text
        ctx.host.write(path, content, mode=mode)

    def probe(ctx):
        return () if ctx.host.read(path) is not None else None

    return Step(**{"name": name, "run": run, "probe": probe, "undo": partial(_remove, path), **more})


def _remove(path, ctx):
    ctx.host.write(path, None)


def _access(path, ctx):
    return (StorageAccess(driver="store"),) if ctx.host.read(path) else None


class Store:
    """A service that is founded, joined with tokens and requests, tells facts, and offers a pool."""

    def __init__(self, joins_at_once=None):
        self.joins_at_once = joins_at_once
        self.tokens = Counter()
        self.joining, self.most_joining = set(), 0
        self._lock = threading.Lock()

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="Stores", facts=(Brick,), joins_at_once=self.joins_at_once)

    @hookimpl
    def bootstrap(self, node):
        yield _file("found", "/store/founded", node.name)

    @hookimpl
    def issue_token(self, node):
        yield Step(name="token", run=partial(self._issue, node.name), offers=(JoinToken,))

    @hookimpl
    def join(self, node):
        if not node.founder:
            yield _file("ask", "/store/request", partial(self._ask, node.name))
            yield _file("enter", "/store/joined", self._enter, mode=0o600, needs=(JoinToken,))
        path = "/store/access"
        yield _file("access", path, "yes", probe=partial(_access, path), offers=(StorageAccess,))
        brick = Brick(machine=node.name)
        yield _file(
            "brick",
            "/store/brick",
            node.name,
            probe=lambda ctx: (brick,) if ctx.host.read("/store/brick") else None,
            offers=(Brick,),
        )

    @hookimpl
    def configure(self, nodes):
        pool = StoragePool(name="fast", driver="store", source="fast")

        def bricks(ctx):
            return ",".join(fact.machine for node in nodes for fact in ctx.facts(node.name))

        yield _file(
            "pool",
            "/store/pool",
            bricks,
            probe=lambda ctx: (pool,) if ctx.host.read("/store/pool") else None,
            offers=(StoragePool,),
        )

    def _ask(self, name, ctx):
        ctx.apply(f"{name} asks".encode())
        return "asked"

    def _issue(self, name, ctx):
        with self._lock:
            self.tokens[name] += 1
        return [JoinToken(value=f"token-made-for-{name}-who-said-{ctx.request.decode()}")]

    def _enter(self, ctx):
        token = ctx.token.get_secret_value()
        with self._lock:
            self.joining.add(token)
            self.most_joining = max(self.most_joining, len(self.joining))
        threading.Event().wait(0.02)  # so that two who join at once are seen to
        self.joining.discard(token)
        return token


class Compute:
    """A service that knows no store, and makes use of any pool there is."""

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="Computes")

    @hookimpl
    def join(self, node):
        yield _file("join", "/compute/joined", node.name)

    @hookimpl
    def configure(self):
        def pools(ctx):
            return ",".join(pool.name for pool in ctx.offers(StoragePool)) or "none"

        yield _file("pools", "/compute/pools", pools, wants=(StoragePool,))

    @hookimpl
    def adapt(self, node, nodes):
        yield _file("adapt", "/compute/members", ",".join(one.name for one in nodes))


class Failing:
    """A service whose joining fails on one machine, as long as it is told to."""

    def __init__(self, machine, *, stage="join"):
        self.machine, self.stage, self.fails = machine, stage, True

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="Fails")

    @hookimpl
    def join(self, node):
        yield _file("try", "/failing/join", partial(self._try, "join", node.name))

    @hookimpl
    def adapt(self, node):
        yield _file("retry", "/failing/adapt", partial(self._try, "adapt", node.name))

    def _try(self, stage, name, _ctx):
        if self.fails and (stage, name) == (self.stage, self.machine):
            raise ServiceError("the disk is on fire", hint="put it out")
        return name


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def compute():
    return Compute()


@pytest.fixture
def failing():
    """Return a maker of services that fail on one machine."""
    return Failing


@pytest.fixture
def store_of():
    """Return a maker of stores that admit only so many machines at once."""
    return Store


@pytest.fixture
def deeds():
    """Return how often each file was written or removed, by machine and path."""
    return Counter()


@pytest.fixture
def make_cloud(store, compute, deeds):
    """Return a maker of fake clouds; they are closed after the test."""
    opened = []

    def note(name, what):
        if what.startswith("write "):
            deeds[name, what.removeprefix("write ")] += 1

    def make(machines, *, plugins=None, **more):
        folder = memory_folder()
        modules = plugins if plugins is not None else {"store": store, "compute": compute}
        cloud = FakeCloud(
            machines,
            folder=folder.__enter__(),
            plugins=modules,
            host=lambda name: FakeHost(name=name, before=partial(note, name)),
            **more,
        )
        opened.extend([cloud, folder])
        return cloud

    yield make
    for one in opened:
        one.__exit__(None, None, None)


@pytest.fixture
def files():
    """Return a function that gives all files of a machine as text."""
    return lambda machine: {path: file.content.decode() for path, file in machine.host.files.items()}
