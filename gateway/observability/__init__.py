"""How requests look to Prometheus and in the log. Fed by `telemetry` alone."""
