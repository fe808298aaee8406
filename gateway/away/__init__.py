"""What goes on while the store does not answer, and how nothing of it is lost."""
