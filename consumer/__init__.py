"""The worker side: consumes job messages, runs jobs, records events, delivers callbacks."""
