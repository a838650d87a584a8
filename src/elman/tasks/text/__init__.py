"""The text job: a language model."""
