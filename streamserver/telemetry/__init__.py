"""What an operator sees: the log, one record a stream, and nothing anybody said."""
