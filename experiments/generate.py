"""Fill a mask, continue a text, fill T5's sentinels: what a checkpoint makes of texts.

  python -m experiments.generate --from=runs/gpt2 --prompt="The function returns"
  python -m experiments.generate --from=BERT_DIR --prompt="Paris is the [MASK] of France."
  python -m experiments.generate --from=runs/gpt2 --prompt="The function returns" --num_beams=4 --no_repeat_ngram=3
  python -m experiments.generate --from=T5_DIR --prompt="The <extra_id_0> walks in <extra_id_1> park"
  python -m experiments.generate --from=MBART_DIR --prompt="A cat." --source_language=en_XX --target_language=de_DE
  python -m experiments.generate --from=runs/bart_mini --examples=3

--from takes a working folder of experiments.pretrain, one of its checkpoints, or a Hugging Face
directory. An encoder shows the likeliest tokens for each [MASK] or <mask>, with probabilities; a
decoder continues the text; an encoder-decoder fills <extra_id_0>, <extra_id_1>, ... or ___, and
rewrites a text that has none of them. Each text is printed after "> ", with the result below it.
What no flag says is as the checkpoint's generation_config.json has it.
--examples shows what an encoder-decoder makes of corrupted validation examples of its own run.
"""

from pathlib import Path

import jax
from absl import flags

from experiments import _main
from plmjax.decode.respond import read_texts, respond, stream
from plmjax.interop import load
from plmjax.modules import Bound
from plmjax.pipelines.request import make_request
from plmjax.train.outputs import dump_outputs

FROM = flags.DEFINE_string("from", None, "Checkpoint or Hugging Face directory.", required=True)
PROMPT = flags.DEFINE_multi_string("prompt", [], "A text; repeat the flag for several.")
INPUT = flags.DEFINE_string("input", None, "A UTF-8 file with one text a line, instead of --prompt.")
MAX_NEW_TOKENS = flags.DEFINE_integer(
    "max_new_tokens", None, "The most tokens to write for a text (default 64); it may end sooner.", lower_bound=1
)
TEMPERATURE = flags.DEFINE_float(
    "temperature",
    None,
    "Divides the logits before drawing; 0 takes the likeliest token each time. Default: 1 for a "
    "decoder or for several samples, otherwise 0.",
    lower_bound=0,
)
TOP_K = flags.DEFINE_integer(
    "top_k",
    None,
    "Draw from the k likeliest tokens only; for a mask, how many candidates to show (default 5).",
    lower_bound=1,
)
TOP_P = flags.DEFINE_float(
    "top_p", None, "Draw from the smallest set of tokens with this probability, over 0 and up to 1."
)
SEED = flags.DEFINE_integer("seed", 0, "The same seed draws the same texts.")
NUM_SAMPLES = flags.DEFINE_integer("num_samples", 1, "How many outputs to write for each text.", lower_bound=1)
BEST_OF = flags.DEFINE_integer(
    "best_of", 1, "Draw so many candidates and write the likeliest (Meena: 20 at --temperature=0.88).", lower_bound=1
)
NUM_BEAMS = flags.DEFINE_integer("num_beams", None, "Over 1: beam search with so many beams.", lower_bound=1)
LENGTH_PENALTY = flags.DEFINE_float(
    "length_penalty", None, "Of a beam search: scores are divided by the length to this power (default 1)."
)
EARLY_STOPPING = flags.DEFINE_enum(
    "early_stopping", None, ["true", "false", "never"],
    "Of a beam search: end with the first num_beams texts, when none that goes on looks better, or when none can be.",
)  # fmt: skip
REPETITION_PENALTY = flags.DEFINE_float(
    "repetition_penalty", None, "Divides the scores of tokens that are there already (CTRL: 1.2)."
)
NO_REPEAT_NGRAM = flags.DEFINE_integer(
    "no_repeat_ngram", None, "Write no so many tokens twice; 0: they may repeat.", lower_bound=0
)
SOURCE_LANGUAGE = flags.DEFINE_string("source_language", None, "Of the texts, for an mBART: en_XX.")
TARGET_LANGUAGE = flags.DEFINE_string(
    "target_language", None, "Of what is to be written, for an mBART or a Marian of several languages: de_DE, de."
)
EXAMPLES = flags.DEFINE_integer(
    "examples",
    0,
    "Of a run of an encoder-decoder: print input, target and greedy output of so many validation examples, and end.",
    lower_bound=0,
)
STREAM = flags.DEFINE_bool("stream", False, "Show a decoder's text as it is written, one text after the other.")


def main() -> None:
    if EXAMPLES.value:
        print(dump_outputs(FROM.value, EXAMPLES.value))
        return
    texts = read_texts(PROMPT.value, Path(INPUT.value) if INPUT.value else None)
    pretrained = load(FROM.value)
    asked = {
        "max_new_tokens": MAX_NEW_TOKENS.value,
        "temperature": TEMPERATURE.value,
        "top_k": TOP_K.value,
        "top_p": TOP_P.value,
        "num_beams": NUM_BEAMS.value,
        "length_penalty": LENGTH_PENALTY.value,
        "early_stopping": {"true": True, "false": False}.get(EARLY_STOPPING.value, EARLY_STOPPING.value),
        "repetition_penalty": REPETITION_PENALTY.value,
        "no_repeat_ngram_size": NO_REPEAT_NGRAM.value,
    }
    request = make_request(
        pretrained,
        asked,
        SOURCE_LANGUAGE.value,
        TARGET_LANGUAGE.value,
        seed=SEED.value,
        samples=NUM_SAMPLES.value,
        best_of=BEST_OF.value,
    )
    network = Bound(pretrained.module, jax.device_put(pretrained.params))
    if STREAM.value:
        for text in texts:
            for piece in stream(network, pretrained.tokenizer, text, request):
                print(piece, end="", flush=True)
            print("\n")
        return
    for block in respond(network, pretrained.tokenizer, texts, request):
        print(block, end="\n\n", flush=True)


if __name__ == "__main__":
    _main.run(main)
