"""Text from networks: masks filled, texts continued, sentinels filled."""

from plmjax.decode.beam_search import Beams
from plmjax.decode.fill import Candidate, FilledText, fill_mask, fill_sentinels
from plmjax.decode.generate import generate
from plmjax.decode.generate_tokens import GenerationOutput, stream_tokens
from plmjax.decode.sampling import GREEDY, SampleAndRank, Sampling
from plmjax.decode.text import continue_text, rewrite_text

__all__ = [
    "GREEDY",
    "Beams",
    "Candidate",
    "FilledText",
    "GenerationOutput",
    "SampleAndRank",
    "Sampling",
    "continue_text",
    "fill_mask",
    "fill_sentinels",
    "generate",
    "rewrite_text",
    "stream_tokens",
]
