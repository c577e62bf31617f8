"""`/ui/dead` and `/ui/dead/callbacks`: what could not be run or delivered, why, and another chance or none."""

from collections import Counter
from collections.abc import Mapping

from aiohttp import web

from gateway.submission import Refused
from gateway.ui.visit import Visit
from publisher import dead
from publisher.dead import Chosen, DeadLetter

#: Shown whole on one page; the summary by reason counts all of them.
SHOWN = 100


async def jobs(visit: Visit) -> web.Response:
    return await _page(visit, callbacks=False)


async def callbacks(visit: Visit) -> web.Response:
    return await _page(visit, callbacks=True)


async def _page(visit: Visit, *, callbacks: bool) -> web.Response:
    letters = await visit.bus.look(callbacks=callbacks)
    done, count = visit.request.query.get("done", ""), visit.request.query.get("count", "")
    values = {
        "letters": letters[-SHOWN:][::-1], "total": len(letters), "window": dead.WINDOW, "callbacks": callbacks,
        "reasons": Counter(letter.reason for letter in letters).most_common(20),
        "done": done if done in ("replayed", "dropped") and count.isascii() and count.isdigit() else "", "count": count[:9],
    }  # fmt: skip
    return visit.render("dead.html", values)


async def replay(visit: Visit, fields: Mapping[str, str]) -> web.Response:
    queue_is_callbacks = fields.get("queue") == "callbacks"
    done = await visit.bus.replay(_chosen(fields), callbacks=queue_is_callbacks)
    return _back(visit, "replayed", len(done), callbacks=queue_is_callbacks)


async def purge(visit: Visit, fields: Mapping[str, str]) -> web.Response:
    queue_is_callbacks = fields.get("queue") == "callbacks"
    done = await visit.bus.purge(_chosen(fields), callbacks=queue_is_callbacks)
    return _back(visit, "dropped", len(done), callbacks=queue_is_callbacks)


def _chosen(fields: Mapping[str, str]) -> Chosen:
    """One message, or all with the same reason; never all there are by mistake. Raises: Refused."""
    message_id, reason = fields.get("message_id", ""), fields.get("reason", "")
    if message_id:
        return dead.chosen(message_id=message_id)
    if reason:
        return lambda letter: _same(letter, reason)
    raise Refused("The form does not say which messages.", 400)


def _same(letter: DeadLetter, reason: str) -> bool:
    """A browser sends line breaks as CR LF, whatever they were."""
    return letter.reason.split() == reason.split()


def _back(visit: Visit, done: str, count: int, *, callbacks: bool) -> web.Response:
    return visit.see(f"dead{'/callbacks' if callbacks else ''}?done={done}&count={count}")
