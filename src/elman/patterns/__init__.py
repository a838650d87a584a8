"""Patterns: how layers are put together into sequence to vector, vector to sequence, and encoder and decoder."""

from .attention import Additive, Attention, Dot, General, Memory
from .bridge import Bridge, HandOn, initial_states
from .decoders import Attentive, Conditioned, Decoder, InputFeeding
from .encoder_decoder import EncoderDecoder
from .pooling import AttentionPool, BothEnds, Last, Max, Mean, Pool
from .vector import at_every_step

__all__ = [
    "Additive",
    "Attention",
    "AttentionPool",
    "Attentive",
    "BothEnds",
    "Bridge",
    "Conditioned",
    "Decoder",
    "Dot",
    "EncoderDecoder",
    "General",
    "HandOn",
    "InputFeeding",
    "Last",
    "Max",
    "Mean",
    "Memory",
    "Pool",
    "at_every_step",
    "initial_states",
]
