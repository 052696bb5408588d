"""Windows: what a training example is before noise. Each is a fixed number of tokens cut from a split.

A window config's `build(split, vocabulary, length, seed)` gives Windows, whose items are dictionaries of int32 arrays
of shape [length]:

    tokens          ids; the padding id (0 where the vocabulary has none) at unused positions
    token_types     0 for the first segment and its special tokens, 1 for the second; of languages, their ids; of pair
                    streams, 2 for the class token
    positions       0, 1, ... from the start of the window, or of the document where windows isolate documents
    segments        0 at unused positions, 1 in a window that is one piece, 1, 2, ... where documents are isolated
    given           int32 scalar, control codes only: how many tokens at the start are the code
    translation     int32 scalar, languages only: 1 for translations, 0 for a stream
    targets         sentence streams only: the words that follow, for a softmax; likewise backward_tokens,
                    backward_targets, and characters and backward_characters, int16 [length, C]
    sentence_starts passages only: 1 at each token that begins a sentence
    language        int32 scalar, passages of languages and translations only: the id of the language of the tokens
    target_tokens   translations only: what they are translated into; likewise target_segments, and target_language
    sentence_label  int32 scalar, pairs only: 0 where the second segment follows the first, 1 where it is random
                    (SentenceOrderPair: 1 where the two are swapped)

This module gathers them; the other files of this folder hold one kind each.
"""

from plmjax.data.windows.base import PAIR_FIELDS, SENTENCE_FIELDS, STREAM_FIELDS, Window, Windows
from plmjax.data.windows.chunks import Chunks
from plmjax.data.windows.codes import CodedChunks
from plmjax.data.windows.documents import DocumentChunks
from plmjax.data.windows.electra_segments import ElectraSegments
from plmjax.data.windows.languages import (
    LANGUAGE_FIELDS,
    LanguageStreams,
    StreamsAndTranslations,
    TranslationPairs,
)
from plmjax.data.windows.pair_streams import PairStreams
from plmjax.data.windows.pairs import SegmentPair, SentenceOrderPair, SentencePair
from plmjax.data.windows.passages import PASSAGE_FIELDS, LanguagePassages, Passages
from plmjax.data.windows.sentence_streams import SentenceStreams
from plmjax.data.windows.sentences import DocSentences, FullSentences
from plmjax.data.windows.streams import Streams
from plmjax.data.windows.translations import Translations

__all__ = [
    "LANGUAGE_FIELDS",
    "PAIR_FIELDS",
    "PASSAGE_FIELDS",
    "SENTENCE_FIELDS",
    "STREAM_FIELDS",
    "Chunks",
    "CodedChunks",
    "DocSentences",
    "DocumentChunks",
    "ElectraSegments",
    "FullSentences",
    "LanguagePassages",
    "LanguageStreams",
    "PairStreams",
    "Passages",
    "SegmentPair",
    "SentenceOrderPair",
    "SentencePair",
    "SentenceStreams",
    "Streams",
    "StreamsAndTranslations",
    "TranslationPairs",
    "Translations",
    "Window",
    "Windows",
]
