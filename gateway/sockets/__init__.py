"""WebSocket sessions: what passes between the client's end and the upstream's, and what it is counted as."""
