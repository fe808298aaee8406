"""One OpenAI key, many clients. Start reading at `gateway.pipeline`."""

__version__ = "0.4.0"
