"""Measurements against peers: ratios within one run, never absolute times across runs."""
