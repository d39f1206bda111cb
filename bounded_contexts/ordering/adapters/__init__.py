"""Where the context meets HTTP, GraphQL and tables."""
