"""What models cost: the built-in list, the configuration, and which of the two holds."""
