"""The API of OpenAI's chat completions, under ``/v1/chat``, and the list of models."""
