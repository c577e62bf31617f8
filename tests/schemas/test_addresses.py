import pytest
from sqlalchemy import create_engine

from schemas.addresses import broker_address, store_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("embedded:", "the embedded broker"),
        ("amqp://me:p%40ss@host:5672/site?heartbeat=5", "amqp://host:5672/site"),
        ("amqps://me:a@b ; amqp://me:secret@other", "amqps://b or amqp://other"),
    ],
)
def test_a_brokers_address_has_no_password(url: str, address: str) -> None:
    assert broker_address(url) == address


def test_a_stores_address_has_no_password() -> None:
    engine = create_engine("postgresql+psycopg2://me:secret@host/db?sslpassword=hidden")
    assert store_address(engine) == "postgresql+psycopg2://host/db"
