"""Property tests: the same examples every time, however long the machine takes over one."""

from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
