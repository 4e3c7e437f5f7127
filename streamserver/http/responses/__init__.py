"""Responses: the open SSE response, the loop that follows a log, and how a stream is answered."""
