"""Pure decisions: no await, no clock, no environment, no randomness. All of those are arguments."""
