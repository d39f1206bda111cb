"""Gateway: one public port for every context, wherever its processes are (docs/deployment.md, "Several processes").

Offer     what a context shows at the public port: routers and paths of sockets.
Upstream  the processes that serve a context's offer when this one does not.
"""
