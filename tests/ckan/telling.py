"""Progress for whoever waits: one line a step, with the seconds since the start."""

import time

_STARTED = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - _STARTED:5.1f} s] {text}", flush=True)
