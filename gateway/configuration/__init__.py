"""How the configuration is read, converted and checked. `gateway.config` is the way in."""
