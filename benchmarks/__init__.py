"""What a token costs here, measured against the obvious relay in the same run. ``python -m benchmarks --help``."""
