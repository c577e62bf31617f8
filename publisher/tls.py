"""TLS to a broker, as an amqps:// URL asks for it in RabbitMQ's words: cacertfile, certfile, keyfile, verify and
server_name_indication (https://www.rabbitmq.com/docs/uri-query-parameters). The broker's certificate is checked unless
verify says not to.
"""

import ssl
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from schemas.errors import BadSetting

PARAMETERS = ("cacertfile", "certfile", "keyfile", "verify", "server_name_indication")
VERIFY = {"verify_peer": True, "verify_none": False}


@dataclass(frozen=True)
class Tls:
    """Files in PEM format; None is the system's authorities, no certificate of our own, and the host that the URL names."""

    server_name_indication: str | None = None
    cacertfile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    verify: bool = True

    def context(self) -> ssl.SSLContext:
        """Raises: OSError for files that cannot be read or are none of certificates."""
        context = ssl.create_default_context(cafile=self.cacertfile)
        if self.certfile:
            context.load_cert_chain(self.certfile, self.keyfile)
        if not self.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


def divided(url: str, setting: str) -> tuple[str, Tls | None]:
    """An AMQP URL without its parameters of TLS, and what they say; None for amqp://. Raises: BadSetting about *setting*."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    told = {name: value for name, value in query if name in PARAMETERS}
    if parts.scheme != "amqps":
        if told:
            raise BadSetting(
                setting, f"{', '.join(told)} is of use with amqps:// only, but a URL begins with {parts.scheme}://"
            )
        return url, None
    rest = urlencode([each for each in query if each[0] not in PARAMETERS])
    return urlunsplit(parts._replace(query=rest)), _tls(told, setting)


def _tls(told: dict[str, str], setting: str) -> Tls:
    verify = told.pop("verify", "verify_peer")
    if verify not in VERIFY:
        raise BadSetting(setting, f"verify is {' or '.join(VERIFY)}, not {verify!r}")
    tls = Tls(**told, verify=VERIFY[verify])
    try:
        tls.context()
    except OSError as error:
        files = ", ".join(f"{name} {path}" for name, path in told.items() if name.endswith("file"))
        raise BadSetting(setting, f"cannot use {files}: {error.strerror or error}") from error
    return tls
