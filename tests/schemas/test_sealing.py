from cryptography.fernet import Fernet
from pytest import raises

from schemas.errors import BadSetting, InvalidMessage
from schemas.sealing import Sealer, job_key, message_keys


def test_a_sealed_key_does_not_show_and_opens_again() -> None:
    sealer = Sealer(message_keys("secret", ()))
    sealed = sealer.seal("ckan-token")
    assert "ckan-token" not in sealed
    assert sealer.open(sealed) == "ckan-token"
    assert sealer.seal(sealed) == sealed


def test_a_key_that_was_never_sealed_passes() -> None:
    assert Sealer(message_keys("secret", ())).open("plain") == "plain"


def test_an_old_key_still_opens_after_rotation() -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    assert Sealer([new, old]).open(Sealer([old]).seal("token")) == "token"


def test_a_foreign_seal_says_what_to_do() -> None:
    sealed = Sealer(message_keys("one", ())).seal("token")
    with raises(InvalidMessage, match="DATAPUSHER_SECRET_KEY"):
        Sealer(message_keys("two", ())).open(sealed)


def test_a_bad_message_key_names_its_setting() -> None:
    with raises(BadSetting, match="DATAPUSHER_MESSAGE_KEYS"):
        Sealer(["short"])


def test_job_keys_differ_by_job_and_by_secret() -> None:
    assert len({job_key("s", "a"), job_key("s", "b"), job_key("t", "a")}) == 3
    assert job_key("s", "a") == job_key("s", "a")
