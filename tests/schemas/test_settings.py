from pathlib import Path

import pytest

from schemas.errors import BadSetting
from schemas.settings import Settings, numbers, rows_of_table, words


def test_an_old_deployments_environment_works() -> None:
    settings = Settings.read({
        "DATAPUSHER_HOST": "127.0.0.1", "DATAPUSHER_PORT": "8800", "DATAPUSHER_SSL_VERIFY": "False",
        "DATAPUSHER_SQLALCHEMY_DATABASE_URI": "postgresql://u:p@db/jobs", "DATAPUSHER_MAX_CONTENT_LENGTH": "10240000",
        "DATAPUSHER_CHUNK_SIZE": "16384", "DATAPUSHER_CHUNK_INSERT_ROWS": "250", "DATAPUSHER_DOWNLOAD_TIMEOUT": "30",
        "DATAPUSHER_STDERR": "1", "DATAPUSHER_LOG_FILE": "/tmp/x.log",
    })  # fmt: skip
    assert (settings.ssl_verify, settings.max_content_length, settings.chunk_insert_rows) == (False, 10_240_000, 250)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("PORT", "eighty", "'eighty' is not a whole number"), ("SSL_VERIFY", "perhaps", "neither true nor false"),
     ("SLOTS", "-1", "negative"), ("LOG_FORMAT", "xml", "must be text or json"), ("MODE", "merge", "replace, append or upsert"),
     ("BROKER_URL", "redis://x", "amqp://"), ("RETRY_DELAYS", "soon", "seconds"), ("RETRY_DELAYS", "1.2.3", "seconds"),
     ("CKAN_URL_MAP", "https://ckan.example", "such as https://ckan"), ("CKAN_URL_MAP", "a=b", "such as"),
     ("DATASTORE_WRITE_URL", "https://a=postgresql://h/d,https://b=postgresql://h/e", "; between"),
     ("DATASTORE_WRITE_URL", "ckan.example=postgresql://h/d", "https://ckan.example.org=postgresql"),
     ("ALLOWED_NETWORKS", "intranet, 10.0.0.0/33", "'10.0.0.0/33'"), ("ALLOWED_NETWORKS", "http://intranet/", "network"),
     ("CA_BUNDLE", "/no/file.pem", "No such file")],
)  # fmt: skip
def test_a_bad_value_names_the_variable_and_what_it_may_be(name: str, value: str, says: str) -> None:
    with pytest.raises(BadSetting, match=f"DATAPUSHER_{name}: .*{says}"):
        Settings.read({f"DATAPUSHER_{name}": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("CKAN_URL_MAP", ""), ("CKAN_URL_MAP", "https://a.example/ckan/ = http://ckan:5000 , http://b=https://c:8/x,"),
     ("DATASTORE_WRITE_URL", "postgresql://u:p=q%3B@h/d?sslmode=require"), ("DATASTORE_WRITE_URL", "postgres://u@h/d"),
     ("DATASTORE_WRITE_URL", "https://a.example=postgresql://h/d; https://b.example/ = postgresql+psycopg2://h/e;"),
     ("ALLOWED_NETWORKS", "10.0.0.0/8, intranet, fd00::/8, [fd00::1], 10.1.2.3/8"), ("RETRY_DELAYS", ".5, 1,10."),
     ("CKAN_URL_MAP", ",https://a.example=http://b,,"),
     ("DATASTORE_WRITE_URL", ";postgresql://h/d;;")],
)  # fmt: skip
def test_what_has_always_been_right_is_taken(name: str, value: str) -> None:
    assert getattr(Settings.read({f"DATAPUSHER_{name}": value}), name.lower()) == value


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "datapusher.toml"
    file.write_text('port = 9000\nslots = 7\ntypes = {zip = "text"}\n')
    settings = Settings.read({"DATAPUSHER_CONFIG": str(file), "DATAPUSHER_PORT": "9001"})
    assert (settings.port, settings.slots, settings.types) == (9001, 7, '{"zip": "text"}')


def test_a_misspelt_key_in_the_file_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "datapusher.toml"
    file.write_text("prot = 9000\n")
    with pytest.raises(BadSetting, match="unknown settings: prot"):
        Settings.read({"DATAPUSHER_CONFIG": str(file)})


def test_secrets_never_print() -> None:
    secrets = {row.variable: "amqp://sesame" if row.name == "broker_url" else "sesame" for row in rows_of_table() if row.secret}
    secrets["DATAPUSHER_SQLALCHEMY_DATABASE_URI"] = secrets["DATAPUSHER_DATASTORE_WRITE_URL"] = "postgresql://u:sesame@h/d"
    assert "sesame" not in repr(Settings.read(secrets))


@pytest.mark.parametrize("name", [row.variable for row in rows_of_table() if row.secret])
def test_a_bad_secret_is_not_repeated_in_the_refusal(name: str) -> None:
    try:
        Settings.read({name: "http://user:sesame@host"})
    except BadSetting as refusal:
        assert "sesame" not in str(refusal)


def test_lists_in_settings() -> None:
    assert numbers("10, 60,0.5") == (10.0, 60.0, 0.5)
    assert words(" a, b ,,c") == ("a", "b", "c")


def test_every_setting_has_a_help_and_a_section() -> None:
    for row in rows_of_table():
        assert row.help.endswith((".", ")")) and row.section, row.name
