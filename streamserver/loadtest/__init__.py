"""``streamserver load``: many readers at once, and whether each got what it was promised."""
