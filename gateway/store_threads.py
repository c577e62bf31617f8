"""Calls of the store, made on threads so that the event loop never waits for a database."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine

from schemas.errors import StoreUnavailable
from schemas.store import reading, reading_alone, writing

P = ParamSpec("P")
T = TypeVar("T")

#: An answer is promised within 2 s.
LIMIT_S = 1.8


class StoreThreads:
    """A few threads for calls that block. Threads are daemons: a database that hangs must not keep the process from ending."""

    def __init__(self, name: str, count: int) -> None:
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"{name}-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    async def run(self, call: Callable[[], T], *, limit_s: float) -> T:
        """What *call* gives. Raises: StoreUnavailable after *limit_s* seconds, though the call may still go on."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._calls.put(_Call(call, future, loop))
        try:
            async with asyncio.timeout(limit_s):
                return await future
        except TimeoutError:
            raise StoreUnavailable(f"The store did not answer within {limit_s:.1f} s; try again later.") from None

    def close(self) -> None:
        """Threads end after the call they are in; nobody waits for them."""
        for _ in self._threads:
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call.make()


class Store:
    """The store as coroutines see it: runs the functions of `gateway.queries` and `gateway.changes` on threads."""

    def __init__(self, engine: Engine, threads: StoreThreads) -> None:
        self._engine = engine
        self._threads = threads

    async def read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What *query* gives. Raises: StoreUnavailable."""

        def call() -> T:
            with reading(self._engine) as connection:
                return query(connection, *args, **kwargs)

        return await self._threads.run(call, limit_s=LIMIT_S)

    async def look(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What *query* gives, which needs no transaction. Raises: StoreUnavailable."""

        def call() -> T:
            with reading_alone(self._engine) as connection:
                return query(connection, *args, **kwargs)

        return await self._threads.run(call, limit_s=LIMIT_S)

    async def write(self, change: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What *change* gives, committed. Raises: StoreUnavailable; it may be committed later all the same."""

        def call() -> T:
            with writing(self._engine) as connection:
                return change(connection, *args, **kwargs)

        return await self._threads.run(call, limit_s=LIMIT_S)


class _Call:
    """One call on its way to a thread and back."""

    __slots__ = ("_call", "_future", "_loop")

    def __init__(self, call: Callable[[], Any], future: "asyncio.Future[Any]", loop: asyncio.AbstractEventLoop) -> None:
        self._call = call
        self._future = future
        self._loop = loop

    def make(self) -> None:
        if self._future.cancelled():  # nobody waits for it any more
            return
        result, error = None, None
        try:
            result = self._call()
        except Exception as caught:  # whatever it is belongs to whoever awaits the call
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._settle, result, error)

    def _settle(self, result: object, error: Exception | None) -> None:
        if self._future.done():
            return
        if error is not None:
            self._future.set_exception(error)
        else:
            self._future.set_result(result)
