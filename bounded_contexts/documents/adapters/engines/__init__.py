"""One module per target: a stream of plain blocks goes in, the pieces of a file come out."""
