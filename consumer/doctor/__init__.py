"""`datapusher doctor`: looks at everything a promise rests on, and says of each thing that is wrong what to do about it."""

from collections.abc import Iterator

from consumer.doctor import broker, ckan, datastore, machine, running, store
from consumer.doctor.finding import Finding, Patient

__all__ = ["Finding", "Patient", "examine"]

#: The checks, in the order in which they are told.
CHECKS = (
    machine.secrets, machine.settings, machine.temporary_folder, machine.data_folder,
    store.store, store.keys, broker.bus, broker.policies, broker.nodes, broker.consumer_timeout,
    machine.gateway, running.workers, running.recorder, ckan.ckan, datastore.datastore,
)  # fmt: skip


def examine(patient: Patient) -> Iterator[Finding]:
    """Every finding, as it is made. Nothing is changed anywhere but that missing tables, exchanges and queues are made."""
    for check in CHECKS:
        try:
            yield from check(patient)
        except Exception as error:  # a check that fails in an unforeseen way is a finding, not the end of the examination
            yield Finding(check.__name__.replace("_", " "), "wrong", f"{type(error).__name__}: {error}", "see above")
