"""Seals API keys for the way over the bus, and makes job keys (promise 7: secrets stay secret)."""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from schemas.errors import BadSetting, InvalidMessage

SEAL = "fernet:"


class Sealer:
    """Seals with the first key, opens with any: to rotate, put the new key first, and drop the old one when the queues are
    empty of what it sealed (https://cryptography.io/en/latest/fernet/#cryptography.fernet.MultiFernet)."""

    def __init__(self, keys: Sequence[str]) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except (ValueError, TypeError) as error:
            raise BadSetting("DATAPUSHER_MESSAGE_KEYS", "each key must be 32 bytes in URL-safe base64") from error

    def seal(self, secret: str) -> str:
        """*secret* unreadable without the key; text that is sealed already, or empty, stays as it is."""
        if not secret or secret.startswith(SEAL):
            return secret
        return SEAL + self._fernet.encrypt(secret.encode()).decode("ascii")

    def open(self, text: str) -> str:
        """What was sealed; text of other publishers that was never sealed, as it is.

        Raises: InvalidMessage where the key that sealed it is not among ours.
        """
        if not text.startswith(SEAL):
            return text
        try:
            return self._fernet.decrypt(text.removeprefix(SEAL)).decode()
        except InvalidToken:
            raise InvalidMessage(
                "api_key was sealed with another key: give gateway and workers the same DATAPUSHER_SECRET_KEY "
                "or DATAPUSHER_MESSAGE_KEYS"
            ) from None


def message_keys(secret_key: str, keys: Sequence[str]) -> tuple[str, ...]:
    """The Fernet keys of a process: those of MESSAGE_KEYS, else one derived from SECRET_KEY."""
    if keys:
        return tuple(keys)
    digest = hmac.digest(secret_key.encode(), b"datapusher message key", hashlib.sha256)
    return (base64.urlsafe_b64encode(digest).decode("ascii"),)


def job_key(secret_key: str, job_id: str) -> str:
    """The bearer secret of one job; in UUID's form, as ckanserviceprovider's. Each process makes the same from SECRET_KEY."""
    # Not `hmac.digest`: it lets go of the interpreter, and to get it back takes a busy process a hundred times as long.
    digest = hmac.new(secret_key.encode(), b"datapusher job key " + job_id.encode(), hashlib.sha256).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
