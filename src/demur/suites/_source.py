"""Where a public suite comes from: the Hugging Face Hub, or a local file in upstream's own format."""

from dataclasses import dataclass
from pathlib import Path

from demur.tables import Row, read_rows
from demur.types import UserError


@dataclass(frozen=True)
class Source:
    """`file` is upstream's file name; `hub` and `subset` name the dataset on the Hub, `split` its split."""

    hub: str
    split: str
    file: str
    licence: str
    citation: str
    subset: str | None = None
    revision: str | None = None


def rows_of(source: Source, data: str) -> tuple[str, list[Row]]:
    """The rows and where they came from: `data` is a file, a folder that holds upstream's file somewhere, or "" for the Hub."""
    if data:
        path = Path(data)
        found = find_file(path, source.file) if path.is_dir() else path
        return str(found), read_rows(found)
    return source.hub, hub_rows(source)


def find_file(folder: Path, name: str) -> Path:
    found = sorted(folder.rglob(name))
    if len(found) != 1:
        raise UserError(f"{folder}: holds {len(found) or 'no'} files called {name}; name the file itself with data=PATH")
    return found[0]


def hub_rows(source: Source) -> list[Row]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return load_dataset(source.hub, source.subset, split=source.split, revision=source.revision).to_list()
    except (OSError, ValueError, DatasetsError, HfHubHTTPError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{source.hub}: not to be had from the Hugging Face Hub ({reason}); give a local copy of {source.file} with --data PATH"
        ) from error
