"""The describe job: a vector, attributes or an image to a sentence."""
