"""The HTTP API: routes that parse, call one use case and answer. Nothing in here decides anything about pictures."""
