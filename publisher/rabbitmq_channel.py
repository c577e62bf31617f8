"""A channel of pika's callback adapters, its calls awaitable. Works on what it is given; pika itself is in `rabbitmq`."""

import asyncio
from typing import Any


class ChannelOver(Exception):
    """The channel is closed, or of no use any more; the message is the broker's words where it said any."""


class Channel:
    """One channel on the running event loop. Every call raises ChannelOver once it is over."""

    def __init__(self, raw: Any) -> None:
        #: pika's channel, for calls that need no answer.
        self.raw = raw
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        raw.add_on_close_callback(lambda _channel, reason: self.give_up(words(reason)))
        raw.add_on_cancel_callback(lambda _frame: self.give_up("the broker cancelled the consumer: is its queue gone?"))

    @classmethod
    async def open(cls, connection: Any) -> "Channel":
        """A new channel of a pika connection. Raises: ChannelOver, and what pika raises when the connection is closed."""
        opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        channel = cls(connection.channel(on_open_callback=opened.set_result))
        await channel._first(opened)
        return channel

    @property
    def is_open(self) -> bool:
        return bool(self.raw.is_open)

    @property
    def reason(self) -> str:
        """Why it is over."""
        return self._over.result() if self._over.done() else "the channel is not used any more"

    async def call(self, method: str, **arguments: object) -> Any:
        """Call a method of pika's Channel and return the broker's answer, a frame."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        getattr(self.raw, method)(**arguments, callback=answer.set_result)
        return await self._first(answer)

    async def until_over(self) -> None:
        """Raises ChannelOver when it is."""
        raise ChannelOver(await asyncio.shield(self._over))

    def give_up(self, reason: str) -> None:
        if not self._over.done():
            self._over.set_result(reason)

    def close(self) -> None:
        if self.raw.is_open:
            self.raw.close()

    async def _first(self, answer: "asyncio.Future[Any]") -> Any:
        await asyncio.wait((answer, self._over), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ChannelOver(self.reason)
        return answer.result()


def words(error: object) -> str:
    """What an error of pika's says: the broker's own words, those of the error that it wraps, or at least its name."""
    if text := getattr(error, "reply_text", ""):
        return str(text)
    inner = getattr(error, "exceptions", ()) or getattr(error, "args", ())
    wrapped = getattr(error, "exception", None) or (inner[-1] if inner else None)
    if isinstance(wrapped, BaseException):
        return words(wrapped)
    return str(error) if isinstance(error, OSError) or isinstance(wrapped, str) else repr(error)
