"""Loads what a run may start from: plmjax's own checkpoints, directories of Hugging Face and released ELMos."""

from plmjax.interop.bilm import is_released, load_bilm
from plmjax.interop.hub import local_path
from plmjax.interop.huggingface import CONFIG, load_huggingface
from plmjax.train.initialize import InitialNetwork, load_native


def load_source(source: str, named_by: str) -> InitialNetwork:
    """The `plmjax.train.initialize.Loader` that reads every checkpoint.

    Args:
        source: a working folder or step of plmjax, a directory with Hugging Face's config.json or a model's name on the
            hub, or a directory with the files of a released ELMo.
        named_by: the flag or setting that names the source, for the errors.

    Raises:
        UserError: nothing is there, or it can't be read.
    """
    path = local_path(source)
    if (path / CONFIG).is_file() and not (path / "checkpoints").exists():
        found = load_huggingface(path)
        fingerprint = "" if found.tokenizer is None else found.tokenizer.fingerprint
        return InitialNetwork(found.config, found.params, fingerprint, native=False)
    if path.is_dir() and is_released(path):
        bilm = load_bilm(path)
        return InitialNetwork(bilm.config, bilm.params, "", native=False)
    return load_native(source, named_by)
