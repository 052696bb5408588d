"""Fill a mask, continue a text, fill T5's sentinels: what a checkpoint makes of texts.

  python -m experiments.generate --from=runs/gpt2 --prompt="The function returns"
  python -m experiments.generate --from=BERT_DIR --prompt="Paris is the [MASK] of France."
  python -m experiments.generate --from=runs/gpt2 --prompt="The function returns" --num_beams=4 --no_repeat_ngram_size=3
  python -m experiments.generate --from=T5_DIR --prompt="The <extra_id_0> walks in <extra_id_1> park"
  python -m experiments.generate --from=MBART_DIR --prompt="A cat." --source_language=en_XX --target_language=de_DE
  python -m experiments.generate --from=runs/bart_mini --examples=3

--from takes a working folder of experiments.pretrain, one of its checkpoints, or a Hugging Face directory. An encoder
shows the likeliest tokens for each [MASK] or <mask>, with probabilities; ##piece continues a word. A decoder continues
the text; an encoder-decoder fills <extra_id_0>, <extra_id_1>, ... or ___, and rewrites a text that has none of them.
Each text is printed after "> ", with the result below it. The flags have the names of transformers' GenerationConfig;
what no flag gives is as the checkpoint's generation_config.json says.
--examples shows what an encoder-decoder makes of corrupted validation examples of its own run.
"""

from pathlib import Path
from typing import Any

from absl import flags

import plmjax
from experiments import _main
from experiments.prompts import read_texts
from plmjax.pipelines import lines
from plmjax.train.outputs import dump_outputs

FROM = flags.DEFINE_string(
    "from", None, "Checkpoint, Hugging Face directory, or a model's name on the hub.", required=True
)
PROMPT = flags.DEFINE_multi_string("prompt", [], "A text; repeat the flag for several.")
INPUT = flags.DEFINE_string("input", None, "A UTF-8 file with one text a line, instead of --prompt.")
SETTINGS = (
    flags.DEFINE_integer(
        "max_new_tokens", None, "The most new tokens of a text (default 64); it may end sooner.", lower_bound=1
    ),
    flags.DEFINE_integer("min_new_tokens", None, "The fewest new tokens of a text.", lower_bound=0),
    flags.DEFINE_bool(
        "do_sample",
        None,
        "Sample, instead of taking the likeliest token each time. Default: a decoder samples, and so does what gives "
        "several texts without a beam search.",
    ),
    flags.DEFINE_float(
        "temperature", None, "Of sampling: divides the logits (default 1); 0 is greedy decoding.", lower_bound=0
    ),
    flags.DEFINE_integer(
        "top_k",
        None,
        "Sample among the k likeliest tokens, 0: among all; for a mask, the number of candidates to show (default 5).",
        lower_bound=0,
    ),
    flags.DEFINE_float(
        "top_p", None, "Sample among the smallest set of tokens with this probability, above 0 and up to 1."
    ),
    flags.DEFINE_integer("seed", None, "The same seed samples the same texts (default 0)."),
    flags.DEFINE_integer("num_return_sequences", None, "Texts to generate for each text.", lower_bound=1),
    flags.DEFINE_integer(
        "best_of",
        None,
        "Sample so many candidates and keep the likeliest (Meena: 20 at --temperature=0.88).",
        lower_bound=1,
    ),
    flags.DEFINE_integer("num_beams", None, "Above 1: beam search with so many beams.", lower_bound=1),
    flags.DEFINE_float(
        "length_penalty", None, "Of a beam search: scores are divided by the length to this power (default 1)."
    ),
    flags.DEFINE_enum(
        "early_stopping", None, ["true", "false", "never"],
        "Of a beam search, when it ends: with the first num_beams texts, when no other looks better, or when none can "
        "become better.",
    ),
    flags.DEFINE_float(
        "repetition_penalty", None, "Divides the scores of tokens that are there already (CTRL: 1.2)."
    ),
    flags.DEFINE_integer(
        "no_repeat_ngram_size", None, "N-grams of this size never repeat; 0: they may.", lower_bound=0
    ),
)  # fmt: skip
SOURCE_LANGUAGE = flags.DEFINE_string("source_language", None, "The language of the texts, for an mBART: en_XX.")
TARGET_LANGUAGE = flags.DEFINE_string(
    "target_language", None, "The language to translate to, for an mBART or a Marian of several languages: de_DE, de."
)
EXAMPLES = flags.DEFINE_integer(
    "examples",
    0,
    "Of a run of an encoder-decoder: print input, target and greedy output of so many validation examples, and end.",
    lower_bound=0,
)
STREAM = flags.DEFINE_bool("stream", False, "Show a decoder's text as it is generated, one text after the other.")


def settings() -> dict[str, Any]:
    """The settings that flags give."""
    given: dict[str, Any] = {flag.name: flag.value for flag in SETTINGS if flag.value is not None}
    if given.get("early_stopping") in ("true", "false"):
        given["early_stopping"] = given["early_stopping"] == "true"
    return given


def main() -> None:
    if EXAMPLES.value:
        print(dump_outputs(FROM.value, EXAMPLES.value))
        return
    texts = read_texts(PROMPT.value, Path(INPUT.value) if INPUT.value else None)
    model = plmjax.load(FROM.value)
    if STREAM.value:
        for text in texts:
            for piece in lines.stream(model, text, settings()):
                print(piece, end="", flush=True)
            print("\n")
        return
    for block in lines.blocks(model, texts, settings(), SOURCE_LANGUAGE.value, TARGET_LANGUAGE.value):
        print(block, end="\n\n", flush=True)


if __name__ == "__main__":
    _main.run(main)
