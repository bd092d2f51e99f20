"""Settings of all tests."""

from hypothesis import settings

# A busy machine is slow: how long an example takes says nothing about what it finds.
settings.register_profile("tiledsim", deadline=None)
settings.load_profile("tiledsim")
