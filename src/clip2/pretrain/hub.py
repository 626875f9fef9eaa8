"""Model folders on the Hugging Face hub. The address of another hub goes into HF_ENDPOINT, a token into HF_TOKEN."""

import re
from pathlib import Path

from clip2.pretrain.modelfiles import FILES
from clip2.runtime.errors import InputError

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_id(name: str) -> bool:
    """Whether it has the form "owner/name"."""
    return _ID.fullmatch(name) is not None


def fetch(repo_id: str, revision: str | None = None) -> Path:
    """A folder of this machine with a model's files; downloaded if they are not there already.

    Raises:
        InputError: there is no such model, or no way to it.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=list(FILES)))
    except Exception as error:  # the hub's own, its HTTP library's and the system's
        raise InputError(
            f"{repo_id}: no such folder here, and not to be had from the Hugging Face hub ({_why(error)})"
        ) from None


def push(folder: Path, repo_id: str, private: bool | None, commit_message: str, token: str | None) -> str:
    """Upload a model's files, and nothing else of its folder; the address of the commit.

    Raises:
        InputError: the hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id, folder_path=folder, allow_patterns=list(FILES), commit_message=commit_message
        )
    except Exception as error:  # the hub's own, its HTTP library's and the system's
        raise InputError(f"{repo_id}: not uploaded ({_why(error)}); `hf auth login` stores a token") from None
    return str(commit.commit_url)


def _why(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
