"""push_to_datastore: fetch a file, work out its table, load it into the DataStore of a CKAN."""
