"""The clients, in JavaScript and in Python, over a network that breaks in every way."""
