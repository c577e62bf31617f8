"""Keeps a claim alive while its job runs."""

import logging
import threading
import time
from contextvars import copy_context
from types import TracebackType

from consumer.claims import Claim, Claims
from schemas.errors import Stopped, StoreUnavailable

logger = logging.getLogger(__name__)

#: A cancellation is seen at a renewal; it has to reach a running job within 5 seconds.
RENEW_EVERY_S = 2.0
#: The part of a lease that is left for killing the child before somebody else may start.
MARGIN = 0.1


class Lease:
    """Renews a claim from a thread of its own, since the store may take its time to answer: `check` never waits for it.

    `check` has to be called again and again; a job that ends before the first renewal needs no thread.
    """

    def __init__(self, claims: Claims, claim: Claim, lease_s: float) -> None:
        self._claims = claims
        self._claim = claim
        self._margin_s = max(0.2, lease_s * MARGIN)
        self._every_s = min(RENEW_EVERY_S, lease_s / 5)
        self._good_until = claim.good_until
        self._verdict = ""
        self._first_at = time.monotonic() + self._every_s
        self._renewing = False
        self._over = threading.Event()
        self._context = copy_context()

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()

    def check(self) -> None:
        """Raises: Stopped (`cancelled`, `lost-claim`) when the job must not go on."""
        if self._verdict:
            raise Stopped(self._verdict)
        now = time.monotonic()
        if now > self._good_until - self._margin_s:
            raise Stopped("lost-claim", "the store could not be reached to renew the claim")
        if now > self._first_at and not self._renewing:
            self._renewing = True
            # A daemon that is never joined: it may hang in a store that does not answer.
            name = f"lease of {self._claim.job_id}"
            threading.Thread(target=self._context.run, args=(self._renew,), name=name, daemon=True).start()

    def _renew(self) -> None:
        while not (self._verdict or self._over.is_set()):
            self._renew_once()
            self._over.wait(self._every_s)

    def _renew_once(self) -> None:
        try:
            renewed = self._claims.renew(self._claim)
        except StoreUnavailable as error:
            logger.warning("claim on job %s not renewed: %s", self._claim.job_id, error.message)
            return
        if isinstance(renewed, float):
            self._good_until = renewed
        else:
            self._verdict = "cancelled" if renewed == "cancelled" else "lost-claim"
