"""Clients of Anthropic's Messages besides its Python SDK."""
