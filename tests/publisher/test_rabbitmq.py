"""What only RabbitMQ can do to a bus: go away, refuse, close channels, raise alarms."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from kombu.connection import Connection

from publisher import rabbitmq_consumers
from publisher.bus import Delivery, Message
from publisher.rabbitmq import RabbitBus
from schemas.errors import BadSetting, NotPublished, Unroutable
from tests.publisher.lab import DELAYS_S, PATIENCE_S, Hand, Lab, eventually
from tests.services import PrivateBroker
from tests.tcp_proxy import TcpProxy


@pytest.fixture
def proxy(broker_url: str) -> Iterator[TcpProxy]:
    parts = urlsplit(broker_url)
    with TcpProxy(parts.hostname or "127.0.0.1", parts.port or 5672) as proxy:
        yield proxy


@pytest.fixture
def through(broker_url: str, proxy: TcpProxy) -> str:
    """The broker's URL by way of the proxy."""
    parts = urlsplit(broker_url)
    return parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}").geturl()


def on_broker(url: str, act: Callable[..., object]) -> None:
    """Do something with a plain AMQP channel."""
    with Connection(url) as connection:  # type: ignore[no-untyped-call]
        act(connection.default_channel)


def test_bus_comes_back_after_its_connection_was_cut(rabbit: Lab, proxy: TcpProxy, through: str) -> None:
    bus = rabbit.another_bus(through)
    hand = rabbit.consume(bus=bus)
    eventually(lambda: bus.connected)
    proxy.cut()
    eventually(lambda: not bus.connected)
    rabbit.publish(rabbit.job("j1"))
    proxy.heal()
    assert hand.take().message.message_id == "j1"
    assert bus.publish(rabbit.job("j2")).result(PATIENCE_S) is None


def test_publishing_without_a_connection_fails_at_once(rabbit: Lab, proxy: TcpProxy, through: str) -> None:
    proxy.cut()
    bus = rabbit.another_bus(through)
    began = time.monotonic()
    with pytest.raises(NotPublished):
        bus.publish(rabbit.job()).result(PATIENCE_S)
    assert time.monotonic() - began < 0.5
    assert not bus.connected


def test_bus_starts_before_its_broker(rabbit: Lab, proxy: TcpProxy, through: str) -> None:
    proxy.cut()
    bus = rabbit.another_bus(through)
    hand = rabbit.consume(bus=bus)
    eventually(lambda: proxy.refused >= 2)
    proxy.heal()
    rabbit.publish(rabbit.job("j1"))
    assert hand.take().message.message_id == "j1"


def test_message_in_flight_when_the_connection_is_lost_is_not_published(rabbit: Lab, proxy: TcpProxy, through: str) -> None:
    bus = rabbit.another_bus(through)
    eventually(lambda: bus.connected)
    proxy.cut(silent=True)
    future = bus.publish(rabbit.job())
    time.sleep(0.1)
    assert not future.done()
    proxy.cut()
    assert isinstance(future.exception(PATIENCE_S), NotPublished)


def test_delivery_of_a_lost_connection_is_settled_in_vain_and_comes_again(rabbit: Lab, proxy: TcpProxy, through: str) -> None:
    bus = rabbit.another_bus(through)
    hand = rabbit.consume(bus=bus)
    rabbit.publish(rabbit.job("j1"))
    lost = hand.take()
    proxy.cut()
    eventually(lambda: not bus.connected)
    proxy.heal()
    again = hand.take()
    lost.ack()
    assert (again.message.message_id, again.redelivered) == ("j1", True)
    again.ack()
    bus.close()
    assert rabbit.bus.depth(rabbit.work) == 0


def test_subscription_is_resumed_after_a_cut(rabbit: Lab, proxy: TcpProxy, through: str) -> None:
    bus = rabbit.another_bus(through)
    heard: list[Message] = []
    bus.subscribe(rabbit.names.events, "#", heard.append)
    eventually(lambda: bus.connected)
    proxy.cut()
    eventually(lambda: not bus.connected)
    proxy.heal()

    def publish_until_heard() -> bool:
        # The queue of the subscription that was cut may go while this is routed into it: the broker then refuses it.
        with suppress(NotPublished):
            rabbit.publish(rabbit.event("job.log.x"))
        return bool(heard)

    eventually(publish_until_heard)


def test_next_url_is_tried_when_one_does_not_answer(rabbit: Lab, proxy: TcpProxy, through: str) -> None:
    proxy.cut()
    bus = rabbit.another_bus(f"{through};{rabbit.broker_url}")
    eventually(lambda: bus.connected, 3)
    assert proxy.refused > 0


def test_bus_runs_on_a_loop_it_is_given(rabbit: Lab) -> None:
    async def publish_on_this_loop() -> None:
        bus = RabbitBus([rabbit.broker_url], rabbit.topology, loop=asyncio.get_running_loop())
        while not bus.connected:
            await asyncio.sleep(0.01)
        await asyncio.gather(*(asyncio.wrap_future(bus.publish(rabbit.job())) for _ in range(100)))
        with pytest.raises(RuntimeError, match="to_thread"):
            bus.depth(rabbit.work)
        assert await asyncio.to_thread(bus.depth, rabbit.work) == 100
        await asyncio.to_thread(bus.close)

    asyncio.run(publish_on_this_loop())


def test_deleted_queue_is_declared_and_consumed_again(rabbit: Lab) -> None:
    hand = rabbit.consume()
    rabbit.publish(rabbit.job("j1"))
    hand.take()
    on_broker(rabbit.broker_url, lambda channel: channel.queue_delete(rabbit.work))

    def publish_until_taken() -> bool:
        future = rabbit.bus.publish(rabbit.job("j2"))
        return future.exception(PATIENCE_S) is None and len(hand) > 0

    eventually(publish_until_taken)


def test_deleted_exchange_is_declared_again(rabbit: Lab) -> None:
    on_broker(rabbit.broker_url, lambda channel: channel.exchange_delete(rabbit.names.jobs))
    eventually(lambda: rabbit.bus.publish(rabbit.job()).exception(PATIENCE_S) is None)


def test_deleted_queue_is_declared_again_when_nobody_consumes_it(rabbit: Lab) -> None:
    on_broker(rabbit.broker_url, lambda channel: channel.queue_delete(rabbit.work))
    on_broker(rabbit.broker_url, lambda channel: channel.queue_delete(rabbit.names.recorder))
    assert isinstance(rabbit.bus.publish(rabbit.job()).exception(PATIENCE_S), Unroutable)
    eventually(lambda: rabbit.bus.publish(rabbit.job()).exception(PATIENCE_S) is None)


def test_silent_network_is_noticed_by_heartbeats(rabbit: Lab, proxy: TcpProxy, through: str) -> None:
    bus = rabbit.another_bus(f"{through}?heartbeat=1")
    eventually(lambda: bus.connected)
    proxy.cut(silent=True)
    future = bus.publish(rabbit.job())
    assert isinstance(future.exception(PATIENCE_S), NotPublished)
    assert not bus.connected


def test_bus_can_be_closed_while_it_is_connecting(rabbit: Lab, proxy: TcpProxy, through: str) -> None:
    proxy.cut(silent=True)
    bus = rabbit.another_bus(through)
    time.sleep(0.2)
    began = time.monotonic()
    bus.close()
    assert time.monotonic() - began < 2


def test_refused_declaration_is_told_by_name_and_the_rest_works(
    broker_url: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue = f"{prefix}.retry.1s"
    on_broker(broker_url, lambda channel: channel.queue_declare(queue, durable=True, auto_delete=False))
    with Lab(broker_url, "", prefix) as rabbit:
        errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
        assert len([line for line in errors if queue in line and "x-message-ttl" in line]) == 1
        hand = rabbit.consume()
        rabbit.publish(rabbit.job("j1"))
        assert hand.take().message.message_id == "j1"
        assert isinstance(rabbit.bus, RabbitBus) and any(queue in what for what in rabbit.bus.refusals)


def test_password_is_not_in_the_log(rabbit: Lab, caplog: pytest.LogCaptureFixture) -> None:
    parts = urlsplit(rabbit.broker_url)
    port = parts.port or 5672
    rabbit.another_bus(parts._replace(netloc=f"nobody:s3cret@{parts.hostname}:{port}").geturl())
    ours = "publisher.rabbitmq"
    eventually(lambda: any("no connection to" in record.message for record in caplog.records if record.name == ours))
    assert "s3cret" not in caplog.text


def test_url_that_is_none_stops_the_start(rabbit: Lab) -> None:
    with pytest.raises(BadSetting, match="BROKER_URL"):
        RabbitBus(["amqp://host:port"], rabbit.topology)


def test_refused_copy_leaves_the_message_to_be_delivered_again(rabbit: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbitmq_consumers, "REFUSED_S", 0.1)
    hand = rabbit.consume()
    rabbit.publish(rabbit.job("j1"))
    on_broker(rabbit.broker_url, lambda channel: channel.queue_delete(rabbit.names.retry(DELAYS_S[0])))
    hand.take().retry(DELAYS_S[0], "again")
    again = hand.take()
    assert (again.message.message_id, again.attempt, again.redelivered) == ("j1", 1, True)
    again.retry(DELAYS_S[0], "again")
    assert hand.take().attempt == 2, "the retry queue was not declared again"


def test_message_that_amqp_cannot_carry_fails_alone(rabbit: Lab) -> None:
    too_long = rabbit.message(rabbit.names.events, "x" * 300, "e1", {})
    futures = [rabbit.bus.publish(message) for message in (rabbit.job(), too_long, rabbit.job())]
    assert futures[0].result(PATIENCE_S) is None
    assert isinstance(futures[1].exception(PATIENCE_S), NotPublished)
    assert futures[2].result(PATIENCE_S) is None


def test_channel_closed_by_consumer_timeout_is_opened_again(private_broker: PrivateBroker, prefix: str) -> None:
    for key, milliseconds in (("consumer_timeout", 300), ("channel_tick_interval", 100)):
        private_broker.control("eval", f"application:set_env(rabbit, {key}, {milliseconds}).")
    try:
        with Lab(private_broker.url, "", prefix) as lab:
            hand = lab.consume()
            lab.publish(lab.job("j1"))
            first, again = hand.take(), hand.take()
            assert (first.redelivered, again.redelivered) == (False, True)
            first.ack()
            again.ack()
    finally:
        private_broker.control("eval", "application:set_env(rabbit, consumer_timeout, 1800000).")


def test_alarmed_broker_takes_no_messages_until_it_is_well(private_broker: PrivateBroker, prefix: str) -> None:
    with Lab(private_broker.url, "", prefix) as lab:
        private_broker.control("set_vm_memory_high_watermark", "0.00000001")
        try:
            eventually(lambda: lab.bus.publish(lab.job()).exception(PATIENCE_S) and not lab.bus.connected)
            with pytest.raises(NotPublished, match="memory"):
                lab.bus.publish(lab.job()).result(PATIENCE_S)
        finally:
            private_broker.control("set_vm_memory_high_watermark", "0.4")
        eventually(lambda: lab.bus.connected)
        lab.publish(lab.job())


def test_killed_broker_loses_no_confirmed_message(private_broker: PrivateBroker, prefix: str) -> None:
    with Lab(private_broker.url, "", prefix) as lab:
        hand = lab.consume(lab.names.recorder, prefetch=1000)
        futures: dict[str, Future[None]] = {}

        def publish_until(holds: Callable[[], bool]) -> None:
            while not holds():
                futures[f"e{len(futures)}"] = lab.bus.publish(lab.event("job.log.x", f"e{len(futures)}"))
                time.sleep(0.01)

        publish_until(lambda: len(_confirmed(futures)) > 100)
        private_broker.kill()
        publish_until(lambda: not lab.bus.connected)
        private_broker.start()
        confirmed_before = len(_confirmed(futures))
        publish_until(lambda: len(_confirmed(futures)) > confirmed_before + 100)
        confirmed = _confirmed(futures)
        assert len(confirmed) < len(futures), "nothing was in flight when the broker was killed"
        assert confirmed <= _ids_in(hand, confirmed)


def _confirmed(futures: "dict[str, Future[None]]") -> set[str]:
    return {identity for identity, future in futures.items() if future.done() and future.exception() is None}


def _ids_in(hand: Hand, wanted: set[str]) -> set[str]:
    """What the hand was given and acknowledges, until all that is wanted was there."""
    got: set[str] = set()
    while not wanted <= got:
        delivery: Delivery = hand.take()
        got.add(delivery.message.message_id)
        delivery.ack()
    return got
