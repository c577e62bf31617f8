"""BROKER_URL chooses the bus."""

from pathlib import Path

import pytest

from publisher.connect import await_connected, connect
from publisher.embedded import EmbeddedBus
from publisher.rabbitmq import RabbitBus
from schemas.errors import BadSetting, BusError
from tests.publisher.lab import topology_of
from tests.services import free_port


def test_embedded_bus_lies_in_the_file_of_the_store(tmp_path: Path, prefix: str) -> None:
    bus = connect("embedded:", topology_of(prefix), f"sqlite:///{tmp_path}/store.db?timeout=5")
    await_connected(bus, 5)
    bus.close()
    assert isinstance(bus, EmbeddedBus)
    assert (tmp_path / "store.db").exists()


@pytest.mark.parametrize("store_url", ["postgresql+psycopg2://user:s3cret@db/datapusher", "sqlite://", "sqlite:///:memory:"])
def test_embedded_bus_without_a_file_says_what_to_set(store_url: str, prefix: str) -> None:
    with pytest.raises(BadSetting, match="DATAPUSHER_BROKER_URL to amqp://") as refusal:
        connect("embedded:", topology_of(prefix), store_url)
    assert "s3cret" not in refusal.value.message


def test_waiting_for_an_absent_broker_ends(prefix: str) -> None:
    bus = connect(f"amqp://guest:guest@127.0.0.1:{free_port()}", topology_of(prefix), "")
    assert isinstance(bus, RabbitBus)
    with pytest.raises(BusError, match="within"):
        await_connected(bus, 0.2)
    bus.close()
