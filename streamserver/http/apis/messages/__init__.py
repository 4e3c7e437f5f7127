"""The API of Anthropic's Messages, under ``/v1/messages``."""
