"""The page of the metrics, in the format that whoever asks for it reads."""

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector


def page(metrics: Collector, accept: str) -> tuple[bytes, str]:
    """All metrics and their content type, in the newest format that `accept` (the header) allows."""
    try:
        encode, content_type = choose_encoder(accept)
    except (ValueError, TypeError):  # a version that is no version
        encode, content_type = choose_encoder("")
    return encode(metrics), content_type
