"""The bus: everything that publishes to it or consumes from it."""
