"""The HTTP edge, as far as it is functions of values."""
