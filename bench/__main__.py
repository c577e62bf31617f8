"""`make bench`: every benchmark, one after the other; figures that can be compared go to bench/results.json.

python -m bench [read] [load] [api] [bus] [dashboard]
"""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
ALL = ("read", "load", "api", "bus", "dashboard")


def main() -> int:
    failed = []
    load = os.getloadavg()[0]
    for name in sys.argv[1:] or ALL:
        print(f"\n=== bench/{name}.py", flush=True)
        command = [sys.executable, str(HERE / f"{name}.py")]
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        if subprocess.run(command, cwd=HERE.parent, env=environment, check=False).returncode:
            failed.append(name)
    _note_machine(load)
    print(f"\nbench/results.json is up to date; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _note_machine(load: float) -> None:
    """*load* is that of before all runs."""
    file = HERE / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    results["machine"] = {
        "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform(),
        "load": load, "date": datetime.now(UTC).date().isoformat(),
    }  # fmt: skip
    file.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
