"""The protocols at the HTTP edge, one package each."""
