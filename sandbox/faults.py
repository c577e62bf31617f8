"""Faults on demand, and a record of every request: what tests ask the sandbox for."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

#: Longer bodies are kept as their first part only; `size_bytes` tells the whole length.
KEPT_BODY_BYTES = 4_000_000


@dataclass(frozen=True)
class Recorded:
    """One request as it came in. *action* is the API action, `download` or `files` for a file, else the path."""

    method: str
    path: str
    action: str
    headers: Mapping[str, str]
    body: bytes
    size_bytes: int
    at: float = field(default_factory=time.time)

    @property
    def json(self) -> Any:
        """The body, parsed. Raises ValueError when it is not JSON or was too long to keep."""
        return json.loads(self.body)


@dataclass
class Fault:
    """What happens to the next *times* calls of *action* (`*` = any), after letting *skip* of them through.

    status, body, headers   the answer given instead (body: text or bytes, an object becomes JSON)
    delay_s                 wait so long first
    drop                    no answer: the connection is closed
    after                   do what was asked first, then answer wrongly: "was it done or not?"
    cut_after_bytes         (files) send only so much of the true answer, then close the connection
    status None             only the delay: then the true answer
    """

    action: str
    status: int | None = 500
    times: int = 1
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drop: bool = False
    after: bool = False
    skip: int = 0
    cut_after_bytes: int | None = None

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Fault":
        """From the admin endpoint's body. Raises ValueError for a key that is no field."""
        unknown = told.keys() - {known.name for known in fields(cls)}
        if unknown or "action" not in told:
            raise ValueError(f"a fault needs `action` and knows no {', '.join(sorted(unknown)) or 'such key'}")
        return cls(**told)

    def payload(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, str):
            return self.body.encode()
        return json.dumps(self.body if self.body is not None else {"error": f"sandbox fault {self.status}"}).encode()


class Faults:
    """The faults waiting to happen and the requests seen; thread-safe."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._requests: list[Recorded] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def take(self, action: str) -> Fault | None:
        """The fault this call meets, if any; uses one of its times up."""
        with self._lock:
            for fault in self._waiting:
                if fault.action not in (action, "*") or fault.times <= 0:
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    return None
                fault.times -= 1
                return fault
        return None

    def record(self, request: Recorded) -> None:
        with self._lock:
            self._requests.append(request)

    def requests(self) -> list[Recorded]:
        with self._lock:
            return list(self._requests)

    def forget(self) -> None:
        with self._lock:
            self._requests.clear()
