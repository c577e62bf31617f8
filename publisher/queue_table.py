"""The tables of the embedded bus, and every statement on them.

Durability: WAL with `synchronous = FULL`, so that "accepted" means synced to disk as it does with RabbitMQ's quorum
queues. NORMAL would survive `kill -9` of every process just as well (the log lies in the system's cache), but not a power
cut. One sync pays for a whole group of publishes; a group of claims and acknowledgements only is committed under NORMAL,
since losing those delivers a message again, which is promised anyway. https://www.sqlite.org/pragma.html#pragma_synchronous
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from publisher.bus import Message
from publisher.routes import Routes
from schemas.topology import Binding, Topology
from schemas.turns import CHECKPOINT_PAGES, turn_at

#: How long SQLite waits for another writer, seconds; the store's batches take milliseconds.
BUSY_S = 20.0
#: What live views may fall behind, in messages; the oldest are dropped.
LIVE_MESSAGES = 10_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS bus_queues (name TEXT PRIMARY KEY, delay_ms INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bus_exchanges (name TEXT PRIMARY KEY, type TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bus_bindings (
    id INTEGER PRIMARY KEY, exchange TEXT NOT NULL, queue TEXT NOT NULL, routing_key TEXT NOT NULL,
    UNIQUE (exchange, queue, routing_key)
);
CREATE TABLE IF NOT EXISTS bus_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,       -- the order of arrival
    queue TEXT NOT NULL,
    due_ms INTEGER NOT NULL DEFAULT 0,          -- not before this time (Unix, milliseconds); 0 for at once
    owner TEXT,                                 -- who holds it (owners.py); NULL for nobody
    redelivered INTEGER NOT NULL DEFAULT 0,
    exchange TEXT NOT NULL, routing_key TEXT NOT NULL, message_id TEXT NOT NULL, type TEXT NOT NULL,
    content_type TEXT NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS bus_messages_waiting ON bus_messages (queue, due_ms, id) WHERE owner IS NULL;
CREATE INDEX IF NOT EXISTS bus_messages_held ON bus_messages (owner) WHERE owner IS NOT NULL;
-- Live views: while somebody watches an exchange, what is published to it is written here too.
CREATE TABLE IF NOT EXISTS bus_watchers (owner TEXT NOT NULL, exchange TEXT NOT NULL, watcher INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS bus_seen (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    exchange TEXT NOT NULL, routing_key TEXT NOT NULL, message_id TEXT NOT NULL, type TEXT NOT NULL,
    content_type TEXT NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL
);
"""
PARTS = "exchange, routing_key, message_id, type, content_type, headers, body"
PUT = f"INSERT INTO bus_messages (queue, due_ms, {PARTS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
SHOW = f"INSERT INTO bus_seen ({PARTS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
#: Retries first: after new messages they would starve under load.
DUE = "queue = :queue AND owner IS NULL AND due_ms > 0 AND due_ms <= :now_ms ORDER BY due_ms"
NEW = "queue = :queue AND owner IS NULL AND due_ms = 0 ORDER BY id"
CLAIM = (
    "UPDATE bus_messages SET owner = :owner WHERE id IN (SELECT id FROM bus_messages WHERE {which} LIMIT :count)"
    f" RETURNING id, redelivered, {PARTS}"
)
CLAIM_DUE, CLAIM_NEW = CLAIM.format(which=DUE), CLAIM.format(which=NEW)
READY = "SELECT count(*) FROM bus_messages WHERE queue = ? AND owner IS NULL AND due_ms <= ?"
ANY_READY = "SELECT 1 FROM bus_messages WHERE queue = ? AND owner IS NULL AND due_ms <= ? LIMIT 1"
FORGET = "DELETE FROM bus_messages WHERE id IN (SELECT value FROM json_each(?)) AND owner = ?"
PUT_BACK = "UPDATE bus_messages SET owner = NULL, redelivered = 1, due_ms = ? WHERE id = ? AND owner = ?"
FREE = "UPDATE bus_messages SET owner = NULL, redelivered = 1, due_ms = 0 WHERE owner = ?"
OWNERS = "SELECT owner FROM bus_messages WHERE owner IS NOT NULL UNION SELECT owner FROM bus_watchers"

#: A message's columns, in the order of PARTS.
Row = tuple[str, str, str, str, str, str, bytes]


@dataclass(frozen=True)
class Claimed:
    id: int
    redelivered: bool
    message: Message


def to_row(message: Message) -> Row:
    headers = json.dumps(dict(message.headers))
    return (
        message.exchange, message.routing_key, message.message_id, message.type, message.content_type, headers, message.body,
    )  # fmt: skip


def from_row(row: Row) -> Message:
    exchange, routing_key, message_id, kind, content_type, headers, body = row
    return Message(
        exchange=exchange, routing_key=routing_key, message_id=message_id, type=kind, content_type=content_type,
        headers=json.loads(headers) if headers != "{}" else {}, body=body,
    )  # fmt: skip


class QueueTable:
    """One connection, for one thread. Writing methods are called inside `transaction` only. Raises: sqlite3.Error."""

    def __init__(self, path: Path, topology: Topology) -> None:
        self._path = str(path)
        self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        self._connection.executescript(SCHEMA)
        self._known_bindings = -1
        self._routes = Routes((), (), ())
        self._delays_ms: dict[str, int] = {}
        self._watched: frozenset[str] = frozenset()
        #: Ids of messages by owner, that are deleted with the end of the transaction, all of an owner in one call.
        self._forgotten: dict[str, list[int]] = {}
        with self.transaction(durable=True):
            self._declare(topology)

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[None]:
        """Everything inside or nothing; *durable* when a promise hangs on it."""
        with turn_at(self._path, limit_s=BUSY_S):
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._refresh()
                yield
                self._forget_all()
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._forgotten.clear()

    def put(self, row: Row) -> bool:
        """Into every queue that is bound for it; False when none is. A queue with a delay stands for the one it leads to."""
        exchange, routing_key = row[0], row[1]
        queues = self._routes.to(exchange, routing_key)
        for queue in queues:
            delay_ms = self._delays_ms.get(queue)
            if delay_ms is None:
                self._connection.execute(PUT, (queue, 0, *row))
            elif not self._routes.to("", routing_key):
                return False
            else:
                self._connection.execute(PUT, (routing_key, _now_ms() + delay_ms, "", *row[1:]))
        if exchange in self._watched:
            self._show(row)
        return bool(queues)

    def claim(self, queue: str, owner: str, count: int) -> list[Claimed]:
        arguments = {"queue": queue, "owner": owner, "count": count, "now_ms": _now_ms()}
        rows = self._connection.execute(CLAIM_DUE, arguments).fetchall()
        if len(rows) < count:
            arguments["count"] = count - len(rows)
            rows += self._connection.execute(CLAIM_NEW, arguments).fetchall()
        return [Claimed(row[0], bool(row[1]), from_row(row[2:])) for row in sorted(rows)]

    def any_ready(self, queue: str) -> bool:
        return self._connection.execute(ANY_READY, (queue, _now_ms())).fetchone() is not None

    def forget(self, message_id: int, owner: str) -> None:
        self._forgotten.setdefault(owner, []).append(message_id)

    def put_back(self, message_id: int, owner: str, *, delay_s: float = 0.0) -> None:
        due_ms = _now_ms() + int(delay_s * 1000) if delay_s else 0
        self._connection.execute(PUT_BACK, (due_ms, message_id, owner))

    def free(self, owner: str) -> None:
        """Give back all that *owner* holds, and take it from the watchers."""
        self._connection.execute(FREE, (owner,))
        self._connection.execute("DELETE FROM bus_watchers WHERE owner = ?", (owner,))
        self._connection.execute("DELETE FROM bus_seen WHERE NOT EXISTS (SELECT 1 FROM bus_watchers)")

    def owners(self) -> list[str]:
        return [owner for (owner,) in self._connection.execute(OWNERS)]

    def watch(self, owner: str, exchange: str, watcher: int) -> int:
        """From now on what goes to *exchange* can be `seen`; returns the id after which."""
        self._connection.execute("INSERT INTO bus_watchers VALUES (?, ?, ?)", (owner, exchange, watcher))
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'bus_seen'").fetchone()
        return int(row[0]) if row else 0

    def unwatch(self, owner: str, watcher: int) -> None:
        self._connection.execute("DELETE FROM bus_watchers WHERE owner = ? AND watcher = ?", (owner, watcher))
        self._connection.execute("DELETE FROM bus_seen WHERE NOT EXISTS (SELECT 1 FROM bus_watchers)")

    def seen(self, after_id: int) -> list[tuple[int, Message]]:
        rows = self._connection.execute(f"SELECT id, {PARTS} FROM bus_seen WHERE id > ? ORDER BY id LIMIT 1000", (after_id,))
        return [(row[0], from_row(row[1:])) for row in rows]

    def close(self) -> None:
        self._connection.close()

    def _declare(self, topology: Topology) -> None:
        delays = [(queue.name, None if queue.delay_s is None else int(queue.delay_s * 1000)) for queue in topology.queues]
        bindings = [(each.exchange, each.queue, each.routing_key) for each in topology.bindings]
        exchanges = [(each.name, each.type) for each in topology.exchanges]
        self._connection.executemany("INSERT OR REPLACE INTO bus_queues VALUES (?, ?)", delays)
        self._connection.executemany("INSERT OR REPLACE INTO bus_exchanges VALUES (?, ?)", exchanges)
        self._connection.executemany(
            "INSERT OR IGNORE INTO bus_bindings (exchange, queue, routing_key) VALUES (?, ?, ?)", bindings
        )

    def _forget_all(self) -> None:
        for owner, ids in self._forgotten.items():
            self._connection.execute(FORGET, (json.dumps(ids), owner))

    def _refresh(self) -> None:
        """Other processes may have declared other job types, and watch or no longer watch."""
        known = self._connection.execute("SELECT coalesce(max(id), 0) FROM bus_bindings").fetchone()[0]
        if known != self._known_bindings:
            self._load_routes()
            self._known_bindings = known
        self._watched = frozenset(row[0] for row in self._connection.execute("SELECT exchange FROM bus_watchers"))

    def _load_routes(self) -> None:
        queues = dict(self._connection.execute("SELECT name, delay_ms FROM bus_queues"))
        fanouts = [row[0] for row in self._connection.execute("SELECT name FROM bus_exchanges WHERE type = 'fanout'")]
        bindings = self._connection.execute("SELECT exchange, queue, routing_key FROM bus_bindings")
        self._routes = Routes([Binding(*row) for row in bindings], fanouts, queues)
        self._delays_ms = {name: delay_ms for name, delay_ms in queues.items() if delay_ms is not None}

    def _show(self, row: Row) -> None:
        seen = self._connection.execute(SHOW, row).lastrowid or 0
        if seen % 1000 == 0:
            self._connection.execute("DELETE FROM bus_seen WHERE id <= ?", (seen - LIVE_MESSAGES,))


def ready_count(path: Path, queue: str) -> int:
    """Messages of *queue* that could be claimed now; on a connection of its own, so from any thread."""
    connection = sqlite3.connect(path, timeout=BUSY_S)
    try:
        return int(connection.execute(READY, (queue, _now_ms())).fetchone()[0])
    finally:
        connection.close()


def _now_ms() -> int:
    return int(time.time() * 1000)
