"""Where brokers and stores are, in words that may be logged: without user, password and options."""

from urllib.parse import urlsplit

from sqlalchemy import URL, Engine


def broker_address(broker_url: str) -> str:
    """Of each broker in BROKER_URL."""
    if broker_url.startswith("embedded:"):
        return "the embedded broker"
    return " or ".join(_bare(url.strip()) for url in broker_url.split(";") if url.strip())


def store_address(engine: Engine) -> str:
    url = engine.url
    return URL.create(url.drivername, host=url.host, port=url.port, database=url.database).render_as_string()


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
