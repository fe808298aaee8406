"""The stages of the line, one verb each. They know no web framework, no Redis and not each other."""
