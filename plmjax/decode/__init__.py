"""Text from networks: masks filled, texts continued, sentinels filled."""

from plmjax.decode.beam_search import Beams
from plmjax.decode.config import GenerationConfig
from plmjax.decode.fill import Candidate, FilledText, fill_mask, fill_sentinels
from plmjax.decode.generate import generate
from plmjax.decode.generate_tokens import GenerationOutput, stream_tokens
from plmjax.decode.sampling import GREEDY, SampleAndRank, Sampling
from plmjax.decode.text import generate_text, stream_text

__all__ = [
    "GREEDY",
    "Beams",
    "Candidate",
    "FilledText",
    "GenerationConfig",
    "GenerationOutput",
    "SampleAndRank",
    "Sampling",
    "fill_mask",
    "fill_sentinels",
    "generate",
    "generate_text",
    "stream_text",
    "stream_tokens",
]
