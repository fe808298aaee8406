"""Where state lives between requests. `base` is the contract, `redis` the one implementation."""
