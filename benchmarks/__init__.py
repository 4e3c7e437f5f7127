"""The cost of a token, compared with a naive relay in the same run. See ``python -m benchmarks --help``."""
