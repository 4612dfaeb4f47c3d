"""What Lanner costs, measured: each module prints a table and writes its figures to ``benchmarks/out``."""
