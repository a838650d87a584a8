"""A Turing machine compiled into the weights of a finite recurrent network, exact to the halt.

python -m elman.examples.turing increment 1011
"""

from .machine import Configuration, Machine, Rule, parse_machine, simulate
from .network import Network, compile_machine
from .tables import INCREMENT, PALINDROME, beaver, random_machine

__all__ = [
    "INCREMENT",
    "PALINDROME",
    "Configuration",
    "Machine",
    "Network",
    "Rule",
    "beaver",
    "compile_machine",
    "parse_machine",
    "random_machine",
    "simulate",
]
