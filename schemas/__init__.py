"""What two processes must agree on, as data: messages, topology, tables, settings, errors. No I/O."""
