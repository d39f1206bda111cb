"""Where the context meets HTTP, sockets, tables and files."""
