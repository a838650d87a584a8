"""Examples: what recurrent networks can do, and what they cannot, each to be run by `python -m`.

elman.examples.turing     a Turing machine in the weights of a network, exact to the halt
elman.examples.filters    the forward filter of a hidden Markov model and the Kalman filter, as cells that are trained
elman.examples.nepal      a network that finds the year wherever it stands, beside two that cannot
"""
