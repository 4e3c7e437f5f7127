"""Clients of Anthropic's Messages."""
