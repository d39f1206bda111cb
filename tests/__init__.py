"""Tests: unit without I/O; contract, integration and e2e on the real servers, which the suite starts itself."""
