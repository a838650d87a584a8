"""Examples, each run by its name: `python -m elman.examples.fading`, `python -m elman.examples.vanishing`."""
