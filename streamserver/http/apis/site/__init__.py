"""The server's own pages: the demo, health, metrics, the API's description."""
