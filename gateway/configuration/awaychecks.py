"""What `[away]` must satisfy beyond its types."""

from gateway.configuration.complaints import Complaints
from gateway.configuration.processes import processes
from gateway.settings import Settings


def check_away(settings: Settings, complaints: Complaints) -> None:
    """Add a complaint where the shares of all processes together could be more than the limits.

    One replica is this gateway alone, whose workers are counted by themselves.
    """
    replicas, workers = settings.away.replicas, processes(settings.server)
    if replicas < 1:
        complaints.add("away.replicas", f"{replicas} is no number of processes", "write 1 or more")
    elif 1 < replicas < workers:
        complaints.add(
            "away.replicas",
            f"server.workers is {workers}, and each of them takes a share",
            f"write the number of processes on all machines, at least {workers}",
        )
