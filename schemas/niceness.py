"""Who gives way on a busy machine: what works behind people's backs to what answers them."""

import os
from contextlib import suppress

#: Halfway between nothing and all (nice(2)).
NICENESS = 10


def give_way() -> None:
    """From now on, with all threads to come: on Linux each has a niceness of its own, at first that of who starts it.

    Does nothing where the service manager forbids it; our systemd units say `Nice=` themselves.
    """
    with suppress(PermissionError):
        os.nice(max(0, NICENESS - os.nice(0)))
