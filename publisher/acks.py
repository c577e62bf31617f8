"""How few acknowledgements tell the broker what is settled (https://www.rabbitmq.com/docs/confirms#consumer-acks-multiple-parameter)."""

from collections.abc import Iterator


class Acks:
    """The delivery tags of one consuming channel. Not thread-safe: lives on the bus's thread."""

    def __init__(self) -> None:
        #: Delivered and not settled, in the order of delivery, which is that of the tags.
        self._held: dict[int, None] = {}
        self._settled: list[int] = []

    def hold(self, tag: int) -> None:
        self._held[tag] = None

    def settle(self, tag: int) -> None:
        """To be told with the next `flush`."""
        del self._held[tag]
        self._settled.append(tag)

    def drop(self, tag: int) -> None:
        """The broker has it back; nothing is to be told."""
        del self._held[tag]

    @property
    def idle(self) -> bool:
        return not self._held and not self._settled

    def flush(self) -> Iterator[tuple[int, bool]]:
        """Pairs of tag and "all up to it": one for all that lie below the oldest held tag, and each above on its own."""
        oldest_held = next(iter(self._held), None)
        settled, self._settled = sorted(self._settled), []
        below = [tag for tag in settled if oldest_held is None or tag < oldest_held]
        if below:
            yield below[-1], True
        yield from ((tag, False) for tag in settled[len(below) :])
