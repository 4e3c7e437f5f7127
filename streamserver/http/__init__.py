"""The HTTP edge: requests in, responses out, and nothing that the core would have to know."""
