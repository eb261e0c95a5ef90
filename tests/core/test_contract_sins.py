"""The contract kit refuses every sin that a plugin's author can commit: planted here one by one."""

import itertools
import random
import subprocess
import time
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated

import pytest
from pydantic import AfterValidator, Field, SecretStr

from mcloud import (
    Ask,
    DiskChoice,
    JoinToken,
    Manifest,
    Offer,
    ServiceError,
    Settings,
    Step,
    disks_bearing,
    free_disks,
    hold_disk,
    hookimpl,
    look_at_disk,
)
from mcloud.testing import FakeDisk, FakeHost, OfferContract, PluginContract

FILE = "/etc/sinner"
PASSWORD = "tulip-hammer-42"


class Words(Settings):
    greeting: Annotated[str, Ask("What to say")] = Field(default="hello", description="Words")
    password: Annotated[SecretStr | None, Ask("Password")] = Field(default=None, description="Of the service")


class Fact(Offer):
    """That this machine greets."""

    text: str


def _manifest(**given):
    @hookimpl
    def manifest():
        return Manifest(**{"api": 1, "summary": "Sins", "settings": Words, **given})

    return manifest


def _write(word, ctx):
    ctx.keep_file(FILE)
    ctx.host.write(FILE, word)


def _seen(word, ctx):
    return () if ctx.host.read(FILE) == word else None


def _restore(ctx):
    ctx.restore_file(FILE)


def _step(**changed):
    whole = {
        "name": "greet",
        "run": partial(_write, "hello"),
        "probe": partial(_seen, "hello"),
        "undo": _restore,
    }
    return Step(**{**whole, **changed})


def _plugin(join=None, **more):
    @hookimpl
    def good_join():
        yield _step()

    module = ModuleType("sinner")
    vars(module).update({"manifest": _manifest(), "join": join or good_join, **more})
    return module


def _planting(*steps):
    """Return a plugin with these steps."""

    @hookimpl
    def join():
        yield from steps

    return _plugin(join)


def _contract(sinner, **given):
    """Return the contract of a plugin, as a test file would have it."""
    told = {"name": "sinner", "plugin": sinner, "settings": {"password": PASSWORD}, **given}
    return type("TestSinner", (PluginContract,), told)


def _tests(contract):
    return [name for name in dir(contract) if name.startswith("test_")]


def _refusals(contract, *only):
    """Run a contract's tests as pytest does, each on an object of its own; return what they say."""
    said = {}
    for name in only or _tests(contract):
        try:
            getattr(contract(), name)()
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - as pytest does
            inside = "; ".join(map(str, getattr(error, "exceptions", ())))
            said[name] = f"{error} {inside}".strip()
    return said


def _refusal(contract, name):
    """Run one test of a contract; return what it says, "" if nothing."""
    return _refusals(contract, name).get(name, "")


def test_a_good_plugin_passes():
    assert _refusals(_contract(_plugin())) == {}


def test_the_kit_has_tests():
    assert len(_tests(PluginContract)) >= 15


# ---- planning ------------------------------------------------------------------------------------------


def _planning_by(deed):
    @hookimpl
    def join():
        deed()
        yield _step()

    return _plugin(join)


@pytest.mark.parametrize(
    "deed",
    [
        lambda: subprocess.run(["/bin/true"], check=True),
        lambda: Path("/etc/hostname").read_text(),
        lambda: __import__("socket").socket().close(),
        lambda: __import__("os").listdir("/"),
        lambda: __import__("threading").Thread(target=print).start(),
        lambda: __import__("socket").gethostname(),
    ],
    ids=["process", "file", "socket", "folder", "thread", "host name"],
)
def test_planning_by_doing_is_refused(deed):
    assert "only returns steps" in _refusal(_contract(_planning_by(deed)), "test_planning_does_nothing")


def test_planning_by_writing_is_refused(tmp_path):
    sinner = _planning_by(lambda: (tmp_path / "done").write_text("x"))
    assert str(tmp_path) in _refusal(_contract(sinner), "test_planning_does_nothing")


def test_a_random_plan_is_refused():
    @hookimpl
    def join():
        yield _step(name=f"greet-{random.randrange(10**9)}")  # noqa: S311 - no secret

    said = _refusal(_contract(_plugin(join)), "test_the_same_inputs_give_the_same_plan")
    assert "differ" in said


def test_randomness_inside_a_step_is_refused_as_well():
    @hookimpl
    def join():
        word = str(random.randrange(10**9))  # noqa: S311 - no secret
        yield _step(run=partial(_write, word), probe=partial(_seen, word))

    said = _refusal(_contract(_plugin(join)), "test_the_same_inputs_give_the_same_plan")
    assert "differ" in said


# ---- describing ----------------------------------------------------------------------------------------


def test_a_setting_without_a_question_is_refused():
    class Silent(Settings):
        greeting: str = Field(default="hello", description="Words")

    said = _refusal(
        _contract(_plugin(manifest=_manifest(settings=Silent)), settings={}),
        "test_every_setting_is_described_and_can_be_asked",
    )
    assert "cannot be asked" in said


def test_a_setting_without_a_description_is_refused():
    class Silent(Settings):
        greeting: Annotated[str, Ask("What to say")] = "hello"

    said = _refusal(
        _contract(_plugin(manifest=_manifest(settings=Silent)), settings={}),
        "test_every_setting_is_described_and_can_be_asked",
    )
    assert "no description" in said


def test_a_secret_that_cannot_be_none_is_refused():
    class Strict(Settings):
        password: Annotated[SecretStr, Ask("Password")] = Field(description="Of the service")

    said = _refusal(
        _contract(_plugin(manifest=_manifest(settings=Strict))),
        "test_every_setting_is_described_and_can_be_asked",
    )
    assert "plan hooks see it as None" in said


def test_a_setting_that_cannot_be_typed_is_refused():
    class Odd(Settings):
        flags: Annotated[dict[str, int], Ask("Flags")] = Field(description="By name")

    said = _refusal(
        _contract(_plugin(manifest=_manifest(settings=Odd)), settings={"flags": {"a": 1}}),
        "test_every_setting_can_be_typed",
    )
    assert "Flags" in said


def test_a_setting_that_changes_on_its_way_through_the_file_is_refused():
    class Growing(Settings):
        greeting: Annotated[str, AfterValidator(lambda text: f"{text}!"), Ask("What to say")] = Field(
            default="hello", description="Words"
        )

    said = _refusal(
        _contract(_plugin(manifest=_manifest(settings=Growing)), settings={"greeting": "hi"}),
        "test_answers_make_a_file_that_gives_the_same_plan",
    )
    assert "not the same by answers and by the file" in said


def test_a_misspelt_argument_is_refused():
    @hookimpl
    def join(setings):
        yield _step()

    assert "setings" in _refusal(_contract(_plugin(join)), "test_it_fits_this_mcloud")


def test_a_misspelt_hook_is_refused():
    @hookimpl
    def jion():
        yield _step()

    assert "jion" in _refusal(_contract(_plugin(jion=jion)), "test_it_fits_this_mcloud")


def test_a_missing_manifest_is_refused():
    sinner = _plugin()
    del sinner.manifest
    assert "manifest" in _refusal(_contract(sinner), "test_it_fits_this_mcloud")


def test_another_api_is_refused():
    sinner = _plugin(manifest=_manifest(api=2))
    assert "API 2" in _refusal(_contract(sinner), "test_it_fits_this_mcloud")


def test_an_inspect_that_changes_something_is_refused():
    @hookimpl
    def inspect(host):
        host.write(FILE, "was here")

    assert "changed" in _refusal(_contract(_plugin(inspect=inspect)), "test_inspecting_changes_nothing")


# ---- running -------------------------------------------------------------------------------------------


def test_an_undo_that_does_nothing_is_refused():
    sinner = _planting(_step(run=_keeping_text, undo=lambda _ctx: None))
    assert "can still be seen" in _refusal(_contract(sinner), "test_undo_restores_what_was_there")


def test_a_missing_undo_is_refused():
    sinner = _planting(_step(run=_keeping_text, undo=None))
    assert "cannot be taken back" in _refusal(_contract(sinner), "test_undo_restores_what_was_there")


def test_a_missing_undo_can_be_declared():
    sinner = _planting(_step(run=_keeping_text, undo=None))
    said = _refusals(_contract(sinner, stays=("greet",), world=lambda _self, _host: None))
    assert said == {}


def test_an_undo_that_does_not_restore_is_refused():
    """It removes the file, where one was before: its probe is content, the machine's owner is not."""
    sinner = _planting(_step(run=_keeping_text, undo=_remove))

    def host(_self):
        made = FakeHost()
        made.write(FILE, "somebody's own words")
        return made

    said = _refusal(_contract(sinner, host=host), "test_undo_restores_what_was_there")
    assert "did not restore" in said


def _keeping_text(ctx):
    ctx.keep("before", ctx.host.read(FILE))
    ctx.host.write(FILE, "hello")


def test_an_undo_that_believes_everything_was_kept_is_refused():
    """Where the step failed before it kept anything, undo must not restore nothing."""
    undo = lambda ctx: ctx.host.write(FILE, ctx.kept("before"))  # noqa: E731
    sinner = _planting(_step(run=_keeping_text, undo=undo))

    def host(_self):
        made = FakeHost()
        made.write(FILE, "somebody's own words")
        return made

    assert "left something" in _refusal(_contract(sinner, host=host), "test_half_done_can_be_taken_back")


def test_an_undo_that_restores_words_but_no_mode_and_owner_is_refused():
    """What `hello` itself once did: a file of 0600 was one of 0644 after its undo."""

    def undo(ctx):
        if ctx.has_kept("before"):
            ctx.host.write(FILE, ctx.kept("before"))

    said = _refusal(
        _contract(_planting(_step(run=_keeping_text, undo=undo))), "test_undo_restores_files_of_others"
    )
    assert f"undo did not restore {FILE}" in said


def test_an_undo_that_removes_somebodys_file_is_refused():
    sinner = _planting(_step(run=lambda ctx: ctx.host.write(FILE, "hello"), undo=_remove))
    assert f"undo did not restore {FILE}" in _refusal(_contract(sinner), "test_undo_restores_files_of_others")


def _remove(ctx):
    ctx.host.write(FILE, None)


@pytest.mark.parametrize(
    "test",
    ["test_undo_restores_what_was_there", "test_half_done_can_be_taken_back"],
)
def test_an_undo_that_leaves_a_folder_is_refused(test):
    deep = "/etc/sinner.d/deep/file"
    sinner = _planting(
        _step(
            run=lambda ctx: ctx.host.write(deep, "hello"),
            probe=lambda ctx: () if ctx.host.read(deep) == "hello" else None,
            undo=lambda ctx: ctx.host.write(deep, None),
        )
    )
    said = _refusal(_contract(sinner), test)
    assert "did not restore" in said or "left something" in said


def test_a_folder_goes_with_the_file_that_was_kept_in_it():
    deep = "/etc/sinner.d/deep/file"
    sinner = _planting(
        _step(
            run=lambda ctx: (ctx.keep_file(deep), ctx.host.write(deep, "hello"), None)[-1],
            probe=lambda ctx: () if ctx.host.read(deep) == "hello" else None,
            undo=lambda ctx: ctx.restore_file(deep),
        )
    )
    assert _refusals(_contract(sinner)) == {}


def test_what_a_step_kept_is_restored_also_by_an_undo_that_forgets_it():
    assert _refusals(_contract(_planting(_step(undo=lambda _ctx: None)))) == {}


def test_a_probe_that_keeps_a_file_is_refused():
    def probe(ctx):
        ctx.keep_file(FILE)
        return _seen("hello", ctx)

    said = _refusal(_contract(_planting(_step(probe=probe))), "test_it_runs_and_its_probes_see_it")
    assert "while it is in its probe" in said


def test_a_file_that_is_kept_where_nothing_is_undone_is_refused():
    said = _refusal(_contract(_planting(_step(undo=None))), "test_it_runs_and_its_probes_see_it")
    assert "no undo that could restore it" in said


def test_an_undo_that_leaves_something_beside_is_refused():
    def run(ctx):
        ctx.host.write("/etc/sinner.cache", "x")
        _write("hello", ctx)

    assert "did not restore" in _refusal(
        _contract(_planting(_step(run=run))), "test_undo_restores_what_was_there"
    )


def test_a_probe_that_always_says_yes_is_refused():
    said = _refusal(_contract(_planting(_step(probe=lambda _ctx: ()))), "test_it_runs_and_its_probes_see_it")
    assert "nothing to do" in said


def test_a_probe_that_always_says_no_is_refused():
    said = _refusal(
        _contract(_planting(_step(probe=lambda _ctx: None))), "test_it_runs_and_its_probes_see_it"
    )
    assert "cannot be seen" in said


def test_a_probe_that_does_is_refused():
    def probe(ctx):
        ctx.host.write("/etc/sinner.seen", "x")
        return _seen("hello", ctx)

    assert "a probe changed" in _refusal(
        _contract(_planting(_step(probe=probe))), "test_looking_changes_nothing"
    )


def test_a_step_without_a_probe_is_refused():
    assert "has no probe" in _refusal(_contract(_planting(_step(probe=None))), "test_planning_does_nothing")


def test_a_step_that_is_not_whole_after_a_power_cut_is_refused():
    """It remembers in the process, not in the journal, what has to be done."""

    def run(ctx):
        if ctx.host.read("/etc/sinner.begun"):
            return  # believes that the rest was done, too
        ctx.host.write("/etc/sinner.begun", "x")
        ctx.host.write(FILE, "hello")

    def undo(ctx):
        ctx.host.write(FILE, None)
        ctx.host.write("/etc/sinner.begun", None)

    said = _refusal(_contract(_planting(_step(run=run, undo=undo))), "test_it_goes_on_after_a_power_cut")
    assert "cannot be seen" in said


def test_an_undeclared_offer_is_refused():
    said = _refusal(
        _contract(_planting(_step(probe=lambda _ctx: (Fact(text="hello"),)))),
        "test_it_runs_and_its_probes_see_it",
    )
    assert "did not declare" in said


def test_a_run_that_returns_its_offers_is_refused():
    sinner = _planting(_step(run=lambda ctx: [_write("hello", ctx)]))
    assert "run returned" in _refusal(_contract(sinner), "test_it_runs_and_its_probes_see_it")


# ---- who falls out and comes back ----------------------------------------------------------------------

KEY, KNOWN = "/etc/sinner.key", "/var/lib/sinner.known"


class Keys:
    """A plugin whose seat makes a key for each joiner, and revokes those of the fallen; with its sins."""

    def __init__(self, take=None, *, refuses=False, revokes=True):
        self.numbers = itertools.count()
        self.take, self.refuses, self.revokes = take or _take, refuses, revokes

    manifest = staticmethod(_manifest())

    @hookimpl
    def issue_token(self, node):
        yield Step(name="make", run=partial(self._issue, node.name), offers=(JoinToken,))

    @hookimpl
    def bootstrap(self):
        yield _step(name="list", undo=_restore_and_forget)

    @hookimpl
    def join(self, node):
        if not node.founder:
            yield Step(
                name="key",
                run=self.take,
                probe=lambda ctx: () if ctx.host.stat(KEY) else None,
                undo=lambda ctx: ctx.host.write(KEY, None),
                needs=(JoinToken,),
            )

    @hookimpl
    def configure(self, fallen):
        gone = {node.name for node in fallen}

        def run(ctx):
            if self.revokes:
                self._tell(ctx, {name: key for name, key in self._known(ctx).items() if name not in gone})

        if fallen:
            yield Step(
                name="revoke",
                run=run,
                probe=lambda ctx: None if gone & {*self._known(ctx)} and not self.refuses else (),
            )

    def _issue(self, name, ctx):
        keys = self._known(ctx)
        if self.refuses and name in keys:
            raise ServiceError(f"{name} is known already")
        keys.setdefault(name, f"key-of-{name}-{next(self.numbers):03d}")
        self._tell(ctx, keys)
        return [JoinToken(value=keys[name])]

    def _known(self, ctx):
        return dict(line.split() for line in (ctx.host.read(KNOWN) or "").splitlines())

    def _tell(self, ctx, keys):
        ctx.host.write(KNOWN, "".join(f"{name} {key}\n" for name, key in keys.items()), mode=0o600)


def _restore_and_forget(ctx):
    _restore(ctx)
    ctx.host.write(KNOWN, None)


def _take(ctx):
    ctx.host.write(KEY, ctx.token.get_secret_value(), mode=0o600)


def _believe_what_is_there(ctx):
    if not ctx.host.stat(KEY):
        _take(ctx)


def _look_and_keep_the_old_one(ctx):
    token = ctx.token.get_secret_value()
    if not ctx.host.stat(KEY):
        ctx.host.write(KEY, token, mode=0o600)


def _with_keys(*sin, **sins):
    return _contract(Keys(*sin, **sins), machines=2, stays=("revoke",))


def test_keys_that_are_revoked_and_made_anew_are_in_order():
    assert _refusals(_with_keys()) == {}


@pytest.mark.parametrize(
    ("take", "refused"),
    [
        (_believe_what_is_there, "no step looked at the token that was made for it anew"),
        (_look_and_keep_the_old_one, "lives on its first token"),
    ],
)
def test_who_comes_back_with_what_was_revoked_is_refused(take, refused):
    assert refused in _refusal(_with_keys(take), "test_who_fell_out_comes_back")


def test_a_seat_that_does_not_bear_who_comes_back_is_refused():
    said = _refusal(_with_keys(refuses=True), "test_who_fell_out_comes_back")
    assert "n2 is known already" in said


def test_a_revocation_that_revokes_nothing_is_refused():
    said = _refusal(_with_keys(revokes=False), "test_the_others_go_on_without_who_falls_out")
    assert "what it should have made cannot be seen" in said


def test_a_hook_that_does_not_bear_the_smaller_roster_is_refused():
    @hookimpl
    def configure(nodes):
        nodes[1]
        yield from ()

    said = _refusal(_contract(_plugin(configure=configure)), "test_the_others_go_on_without_who_falls_out")
    assert "index out of range" in said


# ---- secrets -------------------------------------------------------------------------------------------


def _answering(_self):
    return FakeHost(answer=lambda _argv: "")


def test_a_secret_in_argv_is_refused():
    def run(ctx):
        ctx.host.run(["login", "--password", ctx.secret("password").get_secret_value()])
        _write("hello", ctx)

    said = _refusal(
        _contract(_planting(_step(run=run)), host=_answering), "test_it_runs_and_its_probes_see_it"
    )
    assert "a secret in the arguments" in said
    assert PASSWORD not in str(said)


def test_a_secret_on_standard_input_is_in_order():
    def run(ctx):
        ctx.host.run(["login"], stdin=ctx.secret("password").get_secret_value())
        _write("hello", ctx)

    assert _refusals(_contract(_planting(_step(run=run)), host=_answering)) == {}


def test_a_secret_in_a_traceback_is_refused():
    def run(ctx):
        password = ctx.secret("password").get_secret_value()
        if not ctx.host.run(["login"], stdin=password, check=False).ok:
            raise ServiceError(f"the service does not take {password}")
        _write("hello", ctx)

    said = _refusal(_contract(_planting(_step(run=run)), host=_answering), "test_failures_tell_no_secret")
    assert "a secret is in what is said" in said


def test_a_secret_in_the_error_of_a_run_that_always_fails_is_refused():
    def run(ctx):
        raise ServiceError(f"the service does not take {ctx.secret('password').get_secret_value()}")

    assert "a secret is in what is said" in _refusal(
        _contract(_planting(_step(run=run))), "test_failures_tell_no_secret"
    )


def test_a_secret_in_the_cause_of_an_error_is_refused():
    def run(ctx):
        password = ctx.secret("password").get_secret_value()
        try:
            ctx.host.run(["login"], stdin=password)
        except ServiceError:
            {}[password]  # a KeyError says its key
        _write("hello", ctx)

    said = _refusal(_contract(_planting(_step(run=run)), host=_answering), "test_failures_tell_no_secret")
    assert "a secret is in what is said" in said


def test_a_secret_that_is_kept_is_refused():
    def run(ctx):
        ctx.keep("password", ctx.secret("password").get_secret_value())
        _write("hello", ctx)

    assert "journal" in _refusal(_contract(_planting(_step(run=run))), "test_it_runs_and_its_probes_see_it")


def test_a_secret_in_a_file_that_all_can_read_is_refused():
    def run(ctx):
        ctx.host.write("/etc/sinner.key", ctx.secret("password").get_secret_value())
        _write("hello", ctx)

    assert "with mode 0644" in _refusal(
        _contract(_planting(_step(run=run))), "test_it_runs_and_its_probes_see_it"
    )


# ---- waits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["run", "undo"])
def test_a_wait_without_an_end_is_refused(where):
    """Whatever the machine says no to, it asks once more."""

    def wait(ctx):
        while True:
            try:
                ctx.host.run(["greeter", "ready"])
            except ServiceError:
                time.sleep(0.01)
            else:
                return

    def run(ctx):
        _write("hello", ctx)
        if where == "run":
            wait(ctx)

    def undo(ctx):
        if where == "undo":
            wait(ctx)
        _restore(ctx)

    said = _refusal(
        _contract(_planting(_step(run=run, undo=undo, seconds=20)), host=_answering), "test_its_waits_end"
    )
    assert f"a wait has no end of its own: n1: sinner greet ({where} in join)" in said


# ---- reset ---------------------------------------------------------------------------------------------


def _gone(ctx):
    there = ctx.host.read(FILE)
    ctx.report(FILE)
    return None if there else ()


def _resetting(*, run=lambda ctx: ctx.host.write(FILE, None), probe=_gone):
    """Return a plugin that greets, and resets as is said."""

    @hookimpl
    def join():
        yield _step()

    @hookimpl
    def reset():
        yield Step(name="greeting", run=run, probe=probe)

    return _contract(_plugin(join=join, reset=reset))


def test_a_reset_that_is_whole_is_in_order():
    assert not [name for name in _refusals(_resetting()) if "reset" in name]


@pytest.mark.parametrize(
    ("sin", "refused"),
    [
        ({"run": lambda _ctx: None}, "left something"),
        ({"probe": lambda _ctx: ()}, "does not restore what was there"),
        (
            {"run": lambda ctx: (ctx.host.write(FILE, None), ctx.host.write("/etc/sinner.bak", "x"))},
            "does not restore what was there",
        ),
    ],
    ids=["does nothing", "sees nothing", "leaves something beside"],
)
def test_a_reset_that_leaves_something_is_refused(sin, refused):
    assert refused in _refusal(_resetting(**sin), "test_reset_restores_what_was_there")


def test_a_reset_that_finds_something_on_a_fresh_machine_is_refused():
    sinner = _resetting(probe=lambda _ctx: None)
    assert "on a fresh machine" in _refusal(sinner, "test_a_fresh_machine_has_nothing_to_reset")


def test_a_reset_that_is_planned_by_doing_is_refused():
    @hookimpl
    def reset():
        Path("/etc/hostname").read_text()
        return ()

    sinner = _contract(_plugin(reset=reset))
    assert "only returns steps" in _refusal(sinner, "test_planning_a_reset_does_nothing")


# ---- disks ---------------------------------------------------------------------------------------------


class Attic(Settings):
    disk: Annotated[DiskChoice | None, Ask("Which disk")] = Field(default=None, description="For old things")


ATTIC = "/dev/sdb"


def _attic_host(_self):
    """Return a machine with a disk, and a program that makes an attic of one."""
    host = FakeHost(disks={ATTIC: FakeDisk()})

    def answer(call):
        if call[0] == "mkfs.attic":
            host.disk(call[-1]).hold("attic", id=call[1])
            return ""
        return None

    host.answer = answer
    return host


def _take_attic(node, choice, ctx):
    uuid = f"attic-of-{node.name}"
    ctx.keep("uuid", uuid)
    with hold_disk(ctx, node, choice, ours=partial(_is_own_attic, ctx)) as held:
        held.clear()
        held.make(["mkfs.attic", uuid, held.lasting], name=held.lasting)


def _is_own_attic(ctx, found):
    return bool(found.content.id) and found.content.id == ctx.kept("uuid")


def _is_an_attic(found):
    return found.content.type == "attic"


def _attic_seen(node, choice, ctx):
    found = look_at_disk(ctx.host, node, choice, ours=partial(_is_own_attic, ctx))
    return () if found is not None and found.content.id == f"attic-of-{node.name}" else None


def _free_attic(ctx):
    free_disks(ctx.host, partial(_is_own_attic, ctx))


def _free_all(ctx):
    free_disks(ctx.host, _is_an_attic)


def _attics_left(ctx):
    return None if disks_bearing(ctx.host, _is_an_attic) else ()


def _attic(*, run=_take_attic, undo=_free_attic, clean=_free_all):
    """Return the contract of a plugin that takes a disk, and does so as is said."""

    @hookimpl
    def join(node, node_settings):
        choice = node_settings[node.name].disk
        yield Step(
            name="attic",
            run=partial(run, node, choice),
            probe=partial(_attic_seen, node, choice),
            undo=undo,
        )

    @hookimpl
    def reset():
        yield Step(name="attics", run=clean, probe=_attics_left)

    plugin = _plugin(join, manifest=_manifest(node_settings=Attic), reset=reset)
    return _contract(plugin, host=_attic_host, node_settings={"disk": {"path": ATTIC, "wipe": True}})


def _take_by_name(_node, choice, ctx):
    ctx.keep("uuid", f"attic-of-{_node.name}")
    ctx.host.run(["wipefs", "--all", choice.path])
    ctx.host.run(["mkfs.attic", f"attic-of-{_node.name}", choice.path])


def _make_by_name(node, choice, ctx):
    """The door is opened, and somebody goes round it."""
    ctx.keep("uuid", f"attic-of-{node.name}")
    with hold_disk(ctx, node, choice, ours=partial(_is_own_attic, ctx)) as held:
        held.clear()
        ctx.host.run(["mkfs.attic", f"attic-of-{node.name}", choice.path])


def _wipe_by_name(ctx):
    ctx.host.run(["wipefs", "--all", ATTIC])


def test_a_plugin_that_takes_disks_as_it_should_passes():
    assert _refusals(_attic()) == {}


@pytest.mark.parametrize(
    ("sin", "refused_by"),
    [
        ({"run": _take_by_name}, "test_disks_that_changed_names_after_the_plan"),
        ({"run": _take_by_name}, "test_disks_that_changed_names_before_a_run_goes_on"),
        ({"run": _make_by_name}, "test_disks_that_changed_names_after_the_plan"),
        ({"undo": _wipe_by_name}, "test_disks_that_changed_names_before_undo"),
        ({"clean": _wipe_by_name}, "test_disks_that_changed_names_before_reset"),
    ],
    ids=["wiping", "wiping when it goes on", "going round the door", "undo", "reset"],
)
def test_a_disk_that_is_destroyed_by_its_name_is_refused(sin, refused_by):
    assert "touched somebody's disk" in _refusal(_attic(**sin), refused_by)


def test_an_undo_that_looks_under_the_old_name_only_is_refused():
    def undo(ctx):
        free_disks(ctx.host, lambda found: found.disk.device == ATTIC and _is_own_attic(ctx, found))

    assert "can still be seen" in _refusal(_attic(undo=undo), "test_disks_that_changed_names_before_undo")


def test_an_undo_that_frees_whatever_has_the_name_is_refused():
    def undo(ctx):
        free_disks(ctx.host, lambda found: found.disk.device == ATTIC)

    assert "touched somebody's" in _refusal(_attic(undo=undo), "test_disks_that_changed_names_before_undo")


def test_a_fake_machine_without_the_disks_it_is_to_take_is_no_proof():
    contract = _attic()
    contract.host = lambda _self: FakeHost()
    said = _refusal(contract, "test_disks_that_changed_names_before_undo")
    assert "FakeHost(disks={'/dev/sdb'" in said


# ---- trust and offers ----------------------------------------------------------------------------------


@hookimpl
def _trust_all(channel, code, role, binding):
    channel.send(b"hello")
    channel.receive()


def test_a_trust_that_trusts_everybody_is_refused():
    said = _refusal(
        _contract(_plugin(trust=_trust_all)), "test_trust_needs_the_same_code_in_the_same_session"
    )
    assert "another code" in said


class Careless(Offer):
    key: SecretStr


def test_an_offer_without_docstring_or_with_a_secret_is_refused():
    contract = type("TestCareless", (OfferContract,), {"offers": (Careless(key="tulip"),)})
    assert {
        "test_its_docstring_says_what_a_consumer_may_rely_on",
        "test_no_secret_is_in_what_is_written_down",
    } <= set(_refusals(contract))


class TestFact(OfferContract):
    offers = (Fact(text="hello"),)
