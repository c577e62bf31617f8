"""A small stand-in for a CKAN and its DataStore, for the demo and for tests."""
