"""Realtime: what happens reaches everybody it concerns, on every device, at once or when they come back (docs/realtime.md).

Node       one process with sockets. Each reads every event itself, so any number of them may run side by side.
Session    one socket of one user after its token was accepted.
Delivery   an event as clients hear it: a name, whom it concerns, and data.
Position   how far a client has come on all topics, sealed: any node goes on from there.
Recent     the newest deliveries of this node, in memory: what lagging and returning clients are served from.
Past       what is older, read from the topics again.
Lagging    a session whose queue is full. It is served from Recent, and cut if it takes nothing for seconds.
"""
