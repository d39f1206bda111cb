"""The servers a laptop needs, run as plain processes: Kafka, PostgreSQL and the schema registry.

Artifact  a file from Maven, pinned by its SHA-256 in `artifacts.lock`.
Server    what one server needs: its data directory, its command line, how to ask whether it is ready.
Child     one running process with its log file.
Home      the `.headwater` directory: data, logs, secrets and who is in charge.
"""
