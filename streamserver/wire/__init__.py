"""Wire formats: pure functions from records to bytes. A new format is one new file."""
