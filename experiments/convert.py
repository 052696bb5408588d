"""Convert a checkpoint between plmjax and Hugging Face `transformers`, tokenizer included.

  python -m experiments.convert --from_hf=BERT_DIR --to=runs/bert_from_hf
  python -m experiments.convert --from=runs/bert --to_hf=exported/bert

--from_hf reads a directory with config.json and model.safetensors or pytorch_model.bin (the model types of
plmjax/interop/registry.py); what --to writes serves `plmjax.load` and `experiments.pretrain --init_from`. --from takes
a working folder of experiments.pretrain or one step of it; what --to_hf writes serves `transformers`. The result is
loaded again and tried on a sentence.
"""

from absl import flags, logging

from experiments import _main
from plmjax.interop.convert import convert

FROM_HF = flags.DEFINE_string("from_hf", None, "Hugging Face directory to read.")
TO = flags.DEFINE_string("to", None, "plmjax checkpoint to write; a new folder.")
FROM = flags.DEFINE_string("from", None, "plmjax checkpoint to read: a working folder or one step.")
TO_HF = flags.DEFINE_string("to_hf", None, "Hugging Face directory to write; a new folder.")

PART = flags.DEFINE_string(
    "part", None, "Of a checkpoint with several networks, the one to write: discriminator (the default) or generator."
)


def main() -> None:
    logging.set_verbosity(logging.WARNING)  # Orbax reports every file otherwise
    given = {"from_hf": FROM_HF.value, "to": TO.value, "source": FROM.value, "to_hf": TO_HF.value, "part": PART.value}
    for line in convert(**given):
        print(line, flush=True)


if __name__ == "__main__":
    _main.run(main)
