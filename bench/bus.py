"""What the bus can take: each figure beside the barest code that does the same, on RabbitMQ with PostgreSQL and embedded.

    python bench/bus.py [accepting] [recording] [chain] [reads] [publishing] [--on rabbitmq] [--rounds 3]

Merges post_vs_bare, post_per_s, post_p50_ms, post_p99_ms, recorder_vs_bare, recorder_per_s, chain_per_s, chain_p50_ms,
chain_p99_ms, get_job_p50_ms, get_job_p99_ms, publish_on_loop_vs_bare, publish_vs_bare and consume_vs_bare into
bench/results.json: those of RabbitMQ with PostgreSQL at the top, those of the embedded default under `embedded`. Compare
within one run only: the two of a pair take turns.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import bus_accepting  # noqa: E402
import bus_chain  # noqa: E402
import bus_publishing  # noqa: E402
import bus_reads  # noqa: E402
import bus_recording  # noqa: E402
from grounds import GROUNDS, Ground  # noqa: E402

RESULTS = HERE / "results.json"
Measure = Callable[[Ground, int], dict[str, float]]
PARTS: dict[str, Measure] = {
    "accepting": lambda ground, rounds: bus_accepting.measure(ground, rounds=rounds, seconds=4),
    "recording": lambda ground, rounds: bus_recording.measure(ground, rounds=rounds, jobs=3000),
    "chain": lambda ground, rounds: bus_chain.measure(ground, jobs=1000),
    "reads": lambda ground, rounds: bus_reads.measure(ground, seconds=6),
    "publishing": lambda ground, rounds: bus_publishing.measure(ground, rounds=rounds, messages=10_000),
}


def main() -> None:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that brokers and databases that were made go, too
    for where in [arguments.on] if arguments.on else GROUNDS:
        for name in arguments.parts or PARTS:
            print(f"{where}: {name}", flush=True)
            with GROUNDS[where]() as ground:
                told = PARTS[name](ground, arguments.rounds)
            print("  " + ", ".join(f"{key} {value:g}" for key, value in told.items()), flush=True)
            _merge(where, told)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="All by default.")
    parser.add_argument("--on", choices=GROUNDS, default="")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _merge(where: str, told: dict[str, float]) -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    (known if where == "rabbitmq" else known.setdefault(where, {})).update(told)
    RESULTS.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
