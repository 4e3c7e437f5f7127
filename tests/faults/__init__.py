"""The fault matrix: everything that can go wrong at a provider, one row each, through a real server.

The tables are ``openai_*.py`` and ``anthropic_*.py``; what a row means is in :mod:`tests.faults.case`.
"""
