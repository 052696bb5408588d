"""Names of Hugging Face's hub: `google-bert/bert-base-uncased`, with a revision `google-bert/bert-base-uncased@main`.

Files go into the cache of `huggingface_hub`, whose environment variables count: HF_HOME, HF_ENDPOINT, HF_TOKEN, and
HF_HUB_OFFLINE=1 for what is in the cache alone.
"""

import os
import re
from pathlib import Path

from plmjax.errors import UserError

NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[\w.-]+)(?:@([\w./-]+))?")
FILES = ("*.json", "*.txt", "*.model", "*.spm", "*.bpe", "*.codes")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")  # the second where the first are not there


def local_path(source: str | Path) -> Path:
    """The folder of a checkpoint that is named by a path, or by its name on the hub, from where it is fetched.

    A path counts where there is something, or where its first folder is there.

    Raises:
        UserError: the hub can't be reached, or has no such model or revision.
    """
    path = Path(source).expanduser()
    named = NAME.fullmatch(source) if isinstance(source, str) else None
    if named is None or path.exists() or path.parent.exists():
        return path
    return _fetched(named[1], named[2])


def _fetched(name: str, revision: str | None) -> Path:
    # The package takes a third of a second to import, which only a name of the hub has to pay.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    def fetch(*patterns: str) -> Path:
        endpoint = os.environ.get("HF_ENDPOINT")
        return Path(
            snapshot_download(
                name, revision=revision, endpoint=endpoint, allow_patterns=list(patterns), ignore_patterns=["*/*"]
            )
        )

    try:
        folder = fetch(*FILES, WEIGHTS[0])
        return folder if any(folder.glob(WEIGHTS[0])) else fetch(*FILES, WEIGHTS[1])
    except RevisionNotFoundError as error:
        raise UserError(f"{name} has no revision {revision!r} on the hub: name a branch, a tag or a commit.") from error
    except GatedRepoError as error:
        raise UserError(f"{name} may be read on the hub by those alone who have asked: log in there first.") from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"There is no folder {name}, and the hub has no model of that name that may be read: correct the name."
        ) from error
    except LocalEntryNotFoundError as error:
        raise UserError(
            f"There is no folder {name}, and the hub can't be reached to fetch it: connect to the network, or give a "
            "folder."
        ) from error
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"There is no folder {name}, and it can't be fetched from the hub ({type(error).__name__}: {reason:.120}): "
            "try again, or give a folder."
        ) from error
