"""The API of OpenAI's Responses, under ``/v1/responses``."""
