from pydantic import Field, SecretStr

from mcloud.forms import plain, secrets, without_secrets
from mcloud.model import Settings


class Login(Settings):
    user: str = Field(description="Who")
    password: SecretStr = Field(description="Secret")


class Vault(Settings):
    name: str = Field(description="Name")
    token: SecretStr | None = Field(default=None, description="Token")
    logins: tuple[Login, ...] = Field(default=(), description="Logins")
    keys: dict[str, SecretStr] = Field(default_factory=dict, description="Keys")


FULL = Vault(
    name="v",
    token=SecretStr("hunter2"),
    logins=(Login(user="root", password=SecretStr("hunter3")),),
    keys={"a": SecretStr("hunter4")},
)


def test_secrets_are_found_wherever_they_are():
    found = {field: secret.get_secret_value() for field, secret in secrets(FULL).items()}
    assert found == {"token": "hunter2", "logins[0].password": "hunter3", "keys.a": "hunter4"}
    assert secrets(None) == {}
    assert secrets(Vault(name="v")) == {}


def test_without_secrets_the_rest_is_as_it_was():
    bare = without_secrets(FULL)
    assert isinstance(bare, Vault)
    assert bare.token is None
    assert bare.logins[0].user == "root"
    assert bare.logins[0].password is None
    assert bare.keys == {"a": None}
    assert "hunter" not in repr(bare.model_dump(warnings=False))
    assert FULL.token is not None
    assert without_secrets(bare) == bare


def test_plain_shows_what_it_is_told_to():
    assert plain(FULL) == {
        "name": "v",
        "token": None,
        "logins": [{"user": "root", "password": None}],
        "keys": {"a": None},
    }
    assert "hunter" not in str(plain(FULL, show_secrets=False))
    assert Vault.model_validate(plain(FULL, show_secrets=True)) == FULL
    assert plain(Vault(name="v"), only_set=True) == {"name": "v"}
    assert plain(without_secrets(FULL)) == plain(FULL)
