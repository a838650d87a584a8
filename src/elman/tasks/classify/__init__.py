"""The classify job: labels of sequences."""
