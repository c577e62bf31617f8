"""The `datapusher` command as it is typed."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

import datapusher

MESSY = b"id,name\n1,Ada\n2,Grace,too much\n3,Joan\n"


@pytest.fixture
def run(tmp_path: Path) -> "Run":
    return Run(tmp_path)


class Run:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str, **variables: str) -> Result:
        environment = {"DATAPUSHER_DATA_DIR": str(self.folder / "data"), "DATAPUSHER_PORT": "1", **variables}
        return CliRunner().invoke(datapusher.main, words, env=environment)


def test_help_lists_every_command(run: Run) -> None:
    shown = run("--help").output
    for command in ("up", "gateway", "worker", "recorder", "demo", "inspect", "submit", "status", "logs", "cancel", "resubmit",
                    "dead", "topology", "doctor", "load", "settings", "completion"):  # fmt: skip
        assert f"\n  {command} " in shown


def test_every_command_has_a_help_that_begins_with_what_it_does(run: Run) -> None:
    for name in datapusher.main.commands:
        result = run(name, "--help")
        assert result.exit_code == 0 and len(result.output.splitlines()[2].strip()) > 15, name


def test_a_bad_setting_ends_with_status_2_and_its_name(run: Run) -> None:
    result = run("doctor", DATAPUSHER_SLOTS="many")
    assert result.exit_code == 2
    assert "DATAPUSHER_SLOTS: 'many' is not a whole number" in result.output


def test_a_data_folder_that_cannot_be_made_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("recorder", DATAPUSHER_DATA_DIR=str(tmp_path / "file" / "data"))
    assert result.exit_code == 2
    assert f"DATAPUSHER_DATA_DIR: cannot keep {tmp_path}/file/data/secret.key: Not a directory" in result.output


def test_inspect_says_what_would_be_loaded(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(MESSY)
    result = run("inspect", str(file), "--json", "--rows", "--options", '{"max_rejects": 1}')
    facts = json.loads(result.output)
    assert (facts["rows"], facts["rejected"], facts["data"]) == (2, 1, [["1", "Ada"], ["3", "Joan"]])


def test_inspect_writes_the_rejected_rows(run: Run, tmp_path: Path) -> None:
    file, rejects = tmp_path / "people.csv", tmp_path / "rejects.csv"
    file.write_bytes(MESSY)
    run("inspect", str(file), "--rejects", str(rejects), "--options", '{"max_rejects": 1}')
    assert rejects.read_text().splitlines()[1].startswith("3,it has 3 cells where the header has 2,")


def test_inspect_shows_as_many_columns_as_the_screen_has_room_for(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "narrow.csv"
    file.write_text("id,name,year,town,land\n1,Ada,1815,London,England\n")
    shown = run("inspect", str(file)).output
    assert "England" in shown and "the first" not in shown
    file.write_text(",".join(f"a_rather_long_name_{n}" for n in range(9)) + "\n" + ",".join("123456789") + "\n")
    assert "the first 3 of 9 columns" in run("inspect", str(file)).output


def test_inspect_of_what_is_no_table_ends_with_status_1_and_says_what_it_is(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "paper.csv"
    file.write_bytes(b"%PDF-1.7\n" + b"x" * 100)
    result = run("inspect", str(file), "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["error"] == "not-tabular" and "PDF" in json.loads(result.output)["message"]


def test_a_missing_file_and_a_bad_option_are_said_in_one_line(run: Run, tmp_path: Path) -> None:
    assert "There is no file" in run("inspect", str(tmp_path / "none.csv")).output
    assert "--options is not JSON" in run("inspect", __file__, "--options", "{").output


def test_without_a_gateway_the_job_commands_say_how_to_start_one(run: Run) -> None:
    result = run("status")
    assert result.exit_code == 1 and "datapusher up" in result.output


def test_topology_is_shown_as_data(run: Run) -> None:
    shown = json.loads(run("topology", "show", "--json").output)
    assert "datapusher.push_to_datastore" in [queue["name"] for queue in shown["queues"]]


def test_the_dead_queue_is_listed_and_purged_only_when_told_what(run: Run) -> None:
    assert json.loads(run("dead", "list", "--json").output) == []
    assert run("dead", "purge").exit_code == 2
    assert "0 messages" in run("dead", "purge", "--all").output


def test_doctor_names_what_is_wrong_and_what_to_do(run: Run) -> None:
    result = run("doctor", "--json", "--ckan", "http://127.0.0.1:1", "--api-key", "k",
                 DATAPUSHER_DATASTORE_WRITE_URL="postgresql://nobody@127.0.0.1:1/none")  # fmt: skip
    findings = {one["check"]: one for one in map(json.loads, result.output.splitlines())}
    assert result.exit_code == 1
    assert findings["store"]["verdict"] == "ok" and findings["bus"]["verdict"] == "ok"
    assert (
        findings["COPY loader"]["verdict"] == "wrong" and "DATAPUSHER_DATASTORE_WRITE_URL" in findings["COPY loader"]["advice"]
    )


def test_load_puts_a_file_into_a_database(run: Run, database_url: str) -> None:
    file = Path(datapusher.__file__).parent / "sandbox/data/wildlife-strikes.csv"
    result = run("load", str(file), "--to", database_url, "--resource", "wildlife")
    assert result.exit_code == 0, result.output
    assert "3,500 rows are in wildlife" in result.output


def test_load_neither_loads_in_a_dry_run_nor_into_a_database_that_is_away(run: Run, database_url: str) -> None:
    dry = run("load", __file__, "--to", database_url, "--resource", "dry", "--options", '{"dry_run": true}')
    assert dry.exit_code == 1 and "datapusher inspect" in dry.output
    away = run("load", __file__, "--to", "postgresql://nobody@127.0.0.1:1/none", "--resource", "away")
    assert away.exit_code == 1 and "cannot be reached" in away.output


def test_inspect_tells_as_json_that_a_server_is_away(run: Run) -> None:
    result = run("inspect", "http://127.0.0.1:1/x.csv", "--json")
    assert result.exit_code == 1 and json.loads(result.output)["error"] == "transient"


def test_settings_shows_no_secret(run: Run) -> None:
    assert "sesame" not in run("settings", "--json", DATAPUSHER_SECRET_KEY="sesame").output


def test_a_shell_learns_to_complete_the_words_of_the_command(run: Run) -> None:
    for shell in ("zsh", "fish"):
        assert "_DATAPUSHER_COMPLETE" in run("completion", shell).output
    complete = ShellComplete(datapusher.main, {}, "datapusher", "_DATAPUSHER_COMPLETE").get_completions
    assert [item.value for item in complete(["resubmit", "--state"], "er")] == ["error"]


def test_resubmit_asks_for_jobs_and_a_wrong_state_is_named(run: Run) -> None:
    assert run("resubmit").exit_code == 2
    wrong = run("status", "--state", "broken")
    assert wrong.exit_code == 2 and "'cancelled'" in wrong.output


def test_what_is_not_printed_to_a_terminal_has_no_colours(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(MESSY)
    for words in (("doctor",), ("inspect", str(file)), ("settings",), ("dead", "list"), ("--help",)):
        assert "\x1b" not in run(*words).output, words


@pytest.mark.parametrize("asked", [False, True], ids=["by a setting", "by --port"])
def test_a_gateway_whose_port_is_taken_says_so_in_one_line(tmp_path: Path, asked: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        environment = {"DATAPUSHER_HOST": "127.0.0.1", "DATAPUSHER_DATA_DIR": str(tmp_path)}
        environment["DATAPUSHER_PORT"] = "none" if asked else port
        command = [sys.executable, datapusher.__file__, "gateway", *(["--port", port] if asked else [])]
        ended = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr == f"Error: DATAPUSHER_PORT: cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("LOG_FILE", "/none/log", "No such file"),
        ("MESSAGE_KEYS", "short", "32 bytes"),
        ("TYPE_MAPPING", "rch", "ckan, rich"),
        ("LEGACY_TIMEZONE", "Europe/Berln", "time zone"),
        ("METRICS_PORT", "99999", "the last one is 65535"),
    ],
)
def test_what_a_role_cannot_use_is_said_in_one_line(tmp_path: Path, name: str, value: str, says: str) -> None:
    environment = {"DATAPUSHER_DATA_DIR": str(tmp_path), f"DATAPUSHER_{name}": value}
    command = [sys.executable, datapusher.__file__, "worker"]
    ended = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"Error: DATAPUSHER_{name}: ") and says in ended.stderr and ended.stderr.count("\n") == 1
