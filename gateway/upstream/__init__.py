"""The only room that speaks to providers."""
