"""How the streams of the three APIs are read."""
