"""The page, and what a browser's own EventSource makes of the server, in a real Chromium."""
