"""The packages of the AI SDK as clients."""
