"""TLS to a broker, as an amqps:// URL asks for it in RabbitMQ's words: cacertfile, certfile, keyfile, verify and
server_name_indication (https://www.rabbitmq.com/docs/uri-query-parameters). The broker's certificate is checked unless
verify says not to.
"""

import ssl
from dataclasses import dataclass
from urllib.parse import unquote

from schemas.errors import BadSetting

#: What else a URL may say; pika's words.
OTHERS = {"heartbeat", "channel_max", "frame_max", "connection_attempts", "retry_delay", "socket_timeout", "stack_timeout",
          "blocked_connection_timeout", "locale", "tcp_options", "client_properties"}  # fmt: skip
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
    address, _, query = url.partition("?")
    told, others = dict[str, str](), list[str]()
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name in OTHERS:
            others.append(part)
        elif name in PARAMETERS and value:
            told[name] = unquote(value)
        elif name and name not in PARAMETERS:  # pika's and kombu's own ways of TLS, too: one could undo the check of another
            raise BadSetting(
                setting, f"a broker's URL has no parameter {name}; it has {', '.join((*PARAMETERS, *sorted(OTHERS)))}"
            )
    plain = "?".join(filter(None, (address, "&".join(others))))
    if url.startswith("amqps:"):
        return plain, _tls(told, setting)
    if told:
        raise BadSetting(setting, f"{', '.join(told)} is of use with amqps:// only")
    return plain, None


def _tls(told: dict[str, str], setting: str) -> Tls:
    verify = told.pop("verify", "verify_peer")
    if verify not in VERIFY:
        raise BadSetting(setting, f"verify is {' or '.join(VERIFY)}, not {verify!r}")
    if "keyfile" in told and "certfile" not in told:
        raise BadSetting(setting, "keyfile is of use with certfile only")
    tls = Tls(**told, verify=VERIFY[verify])
    hint = " (if the key is in a file of its own, name it by keyfile)" if tls.certfile and not tls.keyfile else ""
    try:
        tls.context()
    except OSError as error:
        files = ", ".join(f"{name} {path}" for name, path in told.items() if name.endswith("file"))
        raise BadSetting(setting, f"cannot use {files}: {error.strerror or error}{hint}") from error
    return tls
