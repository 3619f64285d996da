"""Use cases: orchestration only. They ask ports, call the core and return values; one file a verb."""
