"""Clients that other people have made, against real servers."""
