"""What only a queue table meets: other processes on its file, kill -9 at any moment, a file that cannot be written."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from publisher.bus import Message
from publisher.embedded import EmbeddedBus
from publisher.owners import Owner, burial
from publisher.queue_table import QueueTable
from schemas.errors import NotPublished
from tests.publisher.lab import PATIENCE_S, ROOT, Lab, eventually, topology_of


def test_buses_on_one_file_wake_each_other(embedded: Lab) -> None:
    hand = embedded.consume(bus=embedded.another_bus())
    time.sleep(0.5)
    began = time.monotonic()
    embedded.publish(embedded.job())
    hand.take()
    assert time.monotonic() - began < 0.5


def test_buses_on_one_file_share_the_work_exactly(embedded: Lab) -> None:
    hands = [embedded.consume(prefetch=7, bus=embedded.another_bus()) for _ in range(3)]
    embedded.publish(*(embedded.job(f"j{number}") for number in range(300)))
    got: list[str] = []
    while len(got) < 300:
        for hand in hands:
            if len(hand):
                delivery = hand.take()
                got.append(delivery.message.message_id)
                delivery.ack()
    assert len(set(got)) == 300


def test_job_type_that_another_process_declares_is_routed(embedded: Lab, tmp_path: Path) -> None:
    other = EmbeddedBus(tmp_path / "store.db", topology_of("elsewhere"))
    eventually(lambda: other.connected)
    assert embedded.bus.publish(embedded.message("", "elsewhere.recorder", "j1", {})).exception(PATIENCE_S) is None
    other.close()


@pytest.mark.parametrize("relaxed", [False, True])
def test_a_message_is_synced_to_disk_unless_its_senders_own_memory_is_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relaxed: bool
) -> None:
    bus = EmbeddedBus(tmp_path / "store.db", topology_of("site"), relaxed=relaxed)
    eventually(lambda: bus.connected)
    asked: list[bool] = []
    transaction = QueueTable.transaction

    def watched(table: QueueTable, *, durable: bool) -> AbstractContextManager[None]:
        asked.append(durable)
        return transaction(table, durable=durable)

    monkeypatch.setattr(QueueTable, "transaction", watched)
    message = Message(exchange="", routing_key="site.recorder", body=b"{}", message_id="1")
    assert bus.publish(message).exception(PATIENCE_S) is None
    bus.close()
    assert (True in asked) is not relaxed


def test_accepted_messages_survive_a_kill_in_the_middle_of_publishing(embedded: Lab) -> None:
    program = [sys.executable, "-m", "tests.publisher.flooding_publisher", embedded.store_url, embedded.names.prefix]
    process = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    accepted = [process.stdout.readline().strip() for _ in range(300)]
    process.send_signal(signal.SIGKILL)
    accepted += process.communicate()[0].split("\n")[:-1]
    hand, got = embedded.consume(prefetch=100), set[str]()
    while not set(accepted) <= got:
        delivery = hand.take()
        got.add(delivery.message.message_id)
        delivery.ack()


def test_file_that_cannot_be_written_refuses_publishes_until_it_can(embedded: Lab, tmp_path: Path) -> None:
    hand = embedded.consume()
    embedded.publish(embedded.job("j1"))
    delivery = hand.take()
    with _hidden(tmp_path / "store.db", "bus_messages"):
        delivery.ack()
        with pytest.raises(NotPublished, match="bus_messages"):
            embedded.bus.publish(embedded.job("j2")).result(PATIENCE_S)
        assert not embedded.bus.connected
    eventually(lambda: embedded.bus.connected)
    embedded.publish(embedded.job("j3"))
    assert hand.take().message.message_id == "j3"
    embedded.bus.close()
    assert embedded.another_bus().depth(embedded.work) == 1


class _hidden:
    """A table is away for a while, as good a trouble as a full disk."""

    def __init__(self, path: Path, table: str) -> None:
        self._path, self._table = path, table

    def __enter__(self) -> None:
        self._rename(self._table, "hidden")

    def __exit__(self, *_about_error: object) -> None:
        self._rename("hidden", self._table)

    def _rename(self, old: str, new: str) -> None:
        connection = sqlite3.connect(self._path, timeout=10)
        connection.execute(f"ALTER TABLE {old} RENAME TO {new}")
        connection.close()


def test_bus_at_rest_costs_next_to_nothing(embedded: Lab) -> None:
    embedded.consume()
    embedded.consume(embedded.names.recorder)
    time.sleep(0.5)
    before = time.process_time()
    time.sleep(1.0)
    assert time.process_time() - before < 0.05


def test_living_owner_is_not_buried_and_a_closed_one_is(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    with burial(tmp_path, owner.id) as dead:
        assert not dead
    owner.close()
    with burial(tmp_path, owner.id) as dead:
        assert dead


def test_owner_that_was_killed_is_buried_by_one_only(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        os.write(writer, Owner(tmp_path).id.encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    name = os.read(reader, 100).decode()
    with burial(tmp_path, name) as dead, burial(tmp_path, name) as dead_for_another:
        assert (dead, dead_for_another) == (True, False)
    assert not (tmp_path / name).exists()
