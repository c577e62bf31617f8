"""What the client of the broker raised, in our words, for `publisher.client`."""

from amqp.exceptions import AccessRefused, AMQPError, MessageNacked, NotAllowed, NotFound

from schemas.errors import BusError, NotPublished, Unroutable
from schemas.topology import Names


def in_our_words(error: Exception, job_id: str, names: Names) -> BusError:
    """Unroutable where there is no such vhost or exchange, so that nobody would ever get the job; else NotPublished."""
    if isinstance(error, NotFound):
        return Unroutable(f"the broker has no exchange {names.jobs}: is the prefix right, and the vhost?")
    if _no_vhost(error):
        return Unroutable(f"the broker has no such vhost: {reason(error)}")
    if isinstance(error, MessageNacked):
        return NotPublished(f"the broker refuses job {job_id}: the queue is full or unavailable")
    return NotPublished(f"job {job_id} is not published: {reason(error)}")


def is_lasting(error: Exception) -> bool:
    """Whether the next try would be told the same: no such user, password, vhost or exchange."""
    return isinstance(error, AccessRefused | NotFound) or _no_vhost(error)


def reason(error: Exception) -> str:
    """One line, such as `ACCESS_REFUSED - Login was refused …`."""
    told = error.reply_text if isinstance(error, AMQPError) else None
    return str(told or error or type(error).__name__)


def _no_vhost(error: Exception) -> bool:
    """The same code says that a vhost has all the connections it may have, which passes."""
    return isinstance(error, NotAllowed) and reason(error).endswith("not found")
