"""The program that runs clients made in Python. It needs nothing but the clients, so that it runs old ones as well."""
