"""A script per peer, for that peer's own Python: ``python -m benchmarks.peers.runners.<peer> OUT.json``."""
