"""The recipe of a fine-tuning. The task itself is a dataclass of plmjax.tasks."""

from dataclasses import dataclass, field

from plmjax.decode.config import GenerationConfig
from plmjax.finetune.seq2seq_config import Seq2SeqConfig
from plmjax.finetune.update_strategies import AllParameters, UpdateStrategy
from plmjax.train.config import LoopConfig, MeshConfig, OptimizerConfig


@dataclass(slots=True)
class FineTuneTrainConfig(LoopConfig):
    """The settings of the fine-tuning loop."""

    epochs: float = 3.0  # passes over the training examples
    steps: int = 0  # updates, 0: as many as the epochs have
    seed: int = 0  # the first of the run's seeds: of the order, the new parameters and dropout
    warmup_ratio: float = 0.1  # of the steps, in which the rate rises from 0
    eval_every: int = 0  # steps between two validations, 0: an epoch; the last step is always validated
    eval_batch_size: int = 0  # examples of a validation batch, 0: batch_size
    patience: int = 0  # validations in a row without a better one that end the run, 0: none do
    buckets: int = 4  # lengths that batches are padded to, at most
    pool: int = 16  # batches among which rows are sorted by length; 1: none are
    log_every: int = 50  # steps between two lines of metrics


@dataclass(slots=True)
class FeaturesConfig:
    """The task's own network above an ELMo's vectors."""

    cells: int = 256  # of the LSTM that reads them, each way
    normalise: bool = False  # bring each layer to mean 0 and variance 1 before they are mixed
    l2: float = 0.001  # factor of the mixture's squared weights in the loss (Peters et al. 2018, Sec. 3.3)


@dataclass(slots=True)
class FineTune:
    """A recipe: which parameters are trained, how long, and how examples become rows."""

    train: FineTuneTrainConfig = field(default_factory=FineTuneTrainConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)  # its warm-up and end come from `train`
    update_strategy: UpdateStrategy = field(default_factory=AllParameters)  # which parameters are trained, and how fast
    # In place of the task's own: "text_to_text" (T5), "beam_question_answering" (XLNet, XLM),
    # "crf_token_classification" (ELMo); empty: the task's own.
    task_model: str = ""
    max_length: int = 0  # tokens of a row at most, 0: as many as the network has positions
    truncation: bool = False  # cut longer texts; False: refuse them
    doc_stride: int = 128  # tokens between the starts of two windows of a long context (question answering)
    max_query_length: int = 64  # tokens of a question; longer questions are cut
    max_answer_length: int = 30  # tokens of an answer
    dropout: float | None = None  # of the network while it is trained; None: as the checkpoint says
    lm_weight: float = 0.5  # of a decoder's language-model loss beside the task's (GPT-1, Sec. 3.2)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)  # of an ELMo
    seq2seq: Seq2SeqConfig = field(default_factory=Seq2SeqConfig)  # of tasks whose answer is a text
    # How evaluation generates that text; max_new_tokens None: as many as the targets have places.
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    # Special tokens that stand for themselves wherever a text has their names ("[E1]", "[unused1]"); None: those of
    # the checkpoint's tokenizer, (): none, each is text.
    markers: tuple[str, ...] | None = None
    language: int = 0  # number of the texts' language in a network that has several (XLM)
    dtype: str = ""  # of the network, "bfloat16" for one; empty: as the checkpoint says
    keep_seeds: bool = False  # keep every seed's checkpoint, not the best seed's alone
    mesh: MeshConfig = field(default_factory=MeshConfig)
    name: str = ""  # of the recipe
