"""Gateway: one door for what several contexts offer (docs/graphql.md).

Part      a context's share of the GraphQL schema; wiring hands it over.
Weight    how many requests an operation counts as.
"""
