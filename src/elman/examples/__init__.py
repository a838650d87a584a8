"""Examples: what recurrent networks can do and what not, each run by its name: `python -m elman.examples.turing`.

fading       memory that fades: a label that is asked for 5,000 steps later
filters      the forward filter of a hidden Markov model and the Kalman filter, as cells that are trained
nepal        a network that finds the year wherever it stands, beside two that cannot
turing       a Turing machine in the weights of a network, exact to the halt
vanishing    vanishing and exploding gradients, seen and trained against
"""
