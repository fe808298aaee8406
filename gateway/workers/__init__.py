"""One gateway in several processes: a supervisor, a nursery that forks, and workers that serve."""
