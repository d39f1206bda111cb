"""Gateway: one public port for every context, wherever its processes are (docs/deployment.md, "Several processes"), and one
GraphQL schema of what several offer (docs/graphql.md).

Offer     what a context shows at the public port: routers and paths of sockets.
Upstream  the processes that serve a context's offer when this one does not.
Part      a context's share of the GraphQL schema; wiring hands it over.
Weight    how many requests an operation counts as.
"""
