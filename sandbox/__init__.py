"""A small stand-in for a CKAN and its DataStore, for the demo and for tests."""

from sandbox.faults import Fault, Recorded
from sandbox.server import Sandbox, TableView

__all__ = ["Fault", "Recorded", "Sandbox", "TableView"]
