"""The requests of the API, a function each; none does any I/O."""
