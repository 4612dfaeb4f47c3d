"""One stage of scoring in a process of its own, for Lanner and for each peer.

``python -m benchmarks.peers.stages.<whose> STAGE TRUTH PREDICTION VALUES.npz`` does the work once, saves what
came out and prints one line of JSON. Each script runs in the environment it measures.
"""
