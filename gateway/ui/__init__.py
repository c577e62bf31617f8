"""The dashboard under `/ui`: server-rendered pages over the store and the bus, for the administrator."""
