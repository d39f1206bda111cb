"""Flows that cross contexts, one file each, written as tables."""
