"""The tag job: a label for every step."""
