"""A clustered service whose daemons know together who is in, and its plugin: for runs that break."""

import threading
from collections import Counter
from functools import partial

from mcloud import JoinToken, Manifest, ServiceError, Step, hookimpl

BEFORE = {"/etc/svc.conf": "as it was", "/svc/shared": "somebody else's"}
"""What is on every machine before: one file that is changed, one that is adopted."""


class World:
    """What the daemons of one service know together."""

    def __init__(self):
        self.cluster, self.founder = None, None
        self.members = set()
        self.tokens = {}
        self.secrets = []
        self.deeds = Counter()
        self.foundings = 0
        self.lock = threading.Lock()

    def found(self, machine):
        with self.lock:
            if self.cluster is not None:
                raise ServiceError(f"there is a cluster already, of {self.founder}")
            self.foundings += 1
            self.cluster, self.founder, self.members = f"c{self.foundings}", machine, {machine}
            self.deeds["found", machine] += 1

    def issue(self, machine):
        with self.lock:
            if self.cluster is None:
                raise ServiceError("there is no cluster")
            self._revoke(machine)
            if machine in self.members:
                return f"{machine} is in already"
            token = f"a-token-of-{self.cluster}-for-{machine}-{len(self.secrets):04d}"
            self.tokens[token] = machine
            self.secrets.append(token)
            return token

    def enter(self, machine, token):
        with self.lock:
            if machine in self.members:
                raise ServiceError(f"{machine} is a member already")
            if self.tokens.pop(token, None) != machine:
                raise ServiceError(f"that is no token for {machine}")
            self.members.add(machine)
            self.deeds["enter", machine] += 1

    def leave(self, machine):
        with self.lock:
            self._revoke(machine)
            self.members.discard(machine)

    def write_out(self, machine):
        """Have somebody else end a membership: to enter once more is no deed done twice."""
        self.leave(machine)
        self.deeds["enter", machine] = 0

    def revoke_all_but(self, machines):
        with self.lock:
            for machine in {*self.tokens.values()} - {*machines}:
                self._revoke(machine)

    def end(self, machine):
        with self.lock:
            if self.founder == machine:
                self.cluster, self.founder = None, None
                self.members.clear()
                self.tokens.clear()

    def _revoke(self, machine):
        self.tokens = {token: whose for token, whose in self.tokens.items() if whose != machine}


def _file(name, path, **more):
    """Return a step that writes a file, and whose undo removes it."""

    def run(ctx):
        ctx.host.write(path, "done")

    def probe(ctx):
        return () if ctx.host.read(path) is not None else None

    def undo(ctx):
        ctx.host.write(path, None)

    return Step(**{"name": name, "run": run, "probe": probe, "undo": undo, **more})


class Service:
    """The plugin; each step changes what the daemons know, then a file, and bears to die between."""

    def __init__(self, world, *, fails=()):
        self.world = world
        self.fails = Counter(fails)
        """How often a step fails yet, by machine, step and whether `before` or `after` its deed."""

    @hookimpl
    def manifest(self):
        return Manifest(api=1, summary="Clusters")

    @hookimpl
    def bootstrap(self, node):
        yield self.step(node.name, "found", "/svc/founded", self._found, self._end)

    @hookimpl
    def issue_token(self, node):
        def issue(_ctx):
            return [JoinToken(value=self.world.issue(node.name))]

        yield Step(name="token", run=issue, offers=(JoinToken,))

    @hookimpl
    def join(self, node):
        name = node.name
        yield _file("shared", "/svc/shared")
        yield self.step(name, "packages", "/svc/packages")
        if not node.founder:
            yield self.step(name, "ask", "/svc/request", lambda _me, ctx: ctx.apply(b"let me in"))
            yield self.step(
                name,
                "enter",
                "/svc/entered",
                self._enter,
                self._leave,
                needs=(JoinToken,),
                probe=self._is_in(name),
            )
        yield Step(name="conf", run=_configure, probe=_configured, undo=_put_back)

    @hookimpl
    def configure(self, nodes, fallen):
        def revoke(_me, _ctx):
            self.world.revoke_all_but(node.name for node in nodes)

        if fallen:
            yield Step(
                name="written-out",
                run=lambda _ctx: [self.world.write_out(node.name) for node in fallen] and None,
                probe=lambda _ctx: None if {node.name for node in fallen} & self.world.members else (),
            )
        yield self.step(nodes[0].name, "pool", "/svc/pool", revoke)

    @hookimpl
    def adapt(self, node):
        yield self.step(node.name, "adapt", "/svc/adapted")

    def step(self, machine, name, path, act=lambda _me, _ctx: None, react=lambda _me, _ctx: None, **more):
        def run(ctx):
            self._fail(machine, name, "before")
            act(machine, ctx)
            self._fail(machine, name, "after")
            ctx.host.write(path, "done")

        def undo(ctx):
            react(machine, ctx)
            ctx.host.write(path, None)

        return _file(name, path, run=run, undo=undo, **more)

    def _fail(self, *where):
        if self.fails[where] > 0:
            self.fails[where] -= 1
            raise ServiceError("the disk is on fire", hint="put it out")

    def _found(self, me, _ctx):
        if self.world.founder != me:
            self.world.found(me)

    def _end(self, me, _ctx):
        self.world.end(me)

    def _enter(self, me, ctx):
        if me not in self.world.members:
            self.world.enter(me, ctx.token.get_secret_value())

    def _leave(self, me, _ctx):
        self.world.leave(me)

    def _is_in(self, me):
        """Whether it was in once is what its file says; the others may have written it out since."""

        def probe(ctx):
            return () if ctx.host.read("/svc/entered") is not None and me in self.world.members else None

        return probe


def _configure(ctx):
    before = ctx.keep("before", ctx.host.read("/etc/svc.conf"))
    ctx.host.write("/etc/svc.conf", f"{before}, and ours")


def _configured(ctx):
    return () if "ours" in (ctx.host.read("/etc/svc.conf") or "") else None


def _put_back(ctx):
    if ctx.has_kept("before"):
        ctx.host.write("/etc/svc.conf", ctx.kept("before"))


def service_of(world, **how):
    """Return a maker of the plugin."""
    return partial(Service, world, **how)
