"""Side-by-side measurements of the gateway: `python bench/run.py`. No part of the tests."""
