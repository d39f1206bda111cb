"""The crash regime: load, faults, healing, and a checker that trusts none of our code (docs/reliability.md)."""
