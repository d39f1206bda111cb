"""Tests: unit without I/O; contract, integration and e2e on the real servers, which the suite starts itself."""

import gc

# Programs that tests start read the whole house first, and nothing of that is garbage: a fifth of the time is saved.
gc.set_threshold(50_000)
