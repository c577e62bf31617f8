"""Work for one event loop from any thread, with one wake-up for all that is posted until the loop gets to it."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Mailbox:
    """Thread-safe; what is posted runs on *loop* in the order of posting, and then *afterwards* once.

    A wake-up from another thread is a system call on a pipe and costs more than the work of publishing a message.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, afterwards: Callable[[], None]) -> None:
        self._loop = loop
        self._afterwards = afterwards
        self._posted: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._woken = False
        self._loop_thread_id = 0

    @property
    def on_loop(self) -> bool:
        """Whether the caller is on the loop's own thread, where waiting for the loop would never end."""
        return threading.get_ident() == self._loop_thread_id

    def __len__(self) -> int:
        return len(self._posted)

    def post(self, function: Callable[..., object], *arguments: object) -> bool:
        """Have *function* called on the loop; False when the loop is closed and will call nothing any more."""
        self._posted.append((function, arguments))
        if self._woken:  # then what was appended above is seen, since `_work_off` takes the mark back before it looks
            return True
        self._woken = True
        try:
            (self._loop.call_soon if self.on_loop else self._loop.call_soon_threadsafe)(self._work_off)
        except RuntimeError:
            return False
        return True

    def _work_off(self) -> None:
        self._loop_thread_id = threading.get_ident()
        self._woken = False
        while self._posted:
            function, arguments = self._posted.popleft()
            try:
                function(*arguments)
            except Exception:  # one caller's mishap must not swallow the work of the others
                logger.exception("%s failed", function)
        self._afterwards()


class LoopThread:
    """An event loop on a daemon thread of its own."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Ends the loop and waits for its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
