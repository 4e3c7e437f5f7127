"""The API of the AI SDK's hook ``useChat``, under ``/api/ai/chat``."""
