"""`python -m sandbox`, and the data the demo pushes."""

import csv
import signal
import subprocess
import sys
from pathlib import Path

import requests

ROOT = Path(__file__).parents[2]


def test_it_runs_by_itself_and_ends_on_sigterm() -> None:
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--token", "mine"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url, token = process.stdout.readline().split()[1], process.stdout.readline().split()[1]
        answer = requests.post(f"{url}/api/3/action/user_show", headers={"Authorization": token}, timeout=30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0

    assert (token, answer.json()["success"]) == ("mine", True)


def test_help_tells_the_options() -> None:
    done = subprocess.run([sys.executable, "-m", "sandbox", "--help"], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0
    assert {"--port", "--datapusher-url", "--token"} <= set(done.stdout.split())


def test_the_demo_file_is_real_and_small() -> None:
    path = ROOT / "sandbox" / "data" / "wildlife-strikes.csv"

    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))

    assert path.stat().st_size < 500_000
    assert (len(rows), len(rows[0])) == (3500, 14)
    assert {row["Flight Date"][:2] for row in rows} == {"19"}
