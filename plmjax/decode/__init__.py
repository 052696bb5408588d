"""Text from networks: masks filled, texts continued, sentinels filled."""

from plmjax.decode.beams import Beams
from plmjax.decode.continuation import Continuation, continue_tokens, stream_tokens
from plmjax.decode.fill import Candidate, Filled, fill_mask, fill_sentinels
from plmjax.decode.sampling import GREEDY, SampleAndRank, Sampling
from plmjax.decode.text import continue_text, rewrite_text
from plmjax.decode.transformers_style import generate

__all__ = [
    "GREEDY",
    "Beams",
    "Candidate",
    "Continuation",
    "Filled",
    "SampleAndRank",
    "Sampling",
    "continue_text",
    "continue_tokens",
    "fill_mask",
    "fill_sentinels",
    "generate",
    "rewrite_text",
    "stream_tokens",
]
