"""Settings, and how they are found."""
