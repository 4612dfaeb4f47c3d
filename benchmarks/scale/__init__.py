"""How far the design carries: a model of the queue, fed by measured costs and checked against real runs.

python -m benchmarks.scale [--check] [--out FOLDER]
"""
