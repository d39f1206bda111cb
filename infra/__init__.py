"""Plumbing that several contexts use: Kafka, PostgreSQL, Avro, HTTP, in-memory twins, local servers."""
