"""Shared by all tests: shapes in annotations are checked at run time; tests of real public data skip where there is none."""

from pathlib import Path

import pytest
from jaxtyping import install_import_hook

with install_import_hook(
    ["demur.objectives", "demur.geometry", "demur.placing", "demur.directions", "demur.contrastive"], "beartype.beartype"
):
    import demur.contrastive
    import demur.directions
    import demur.geometry
    import demur.objectives
    import demur.placing  # noqa: F401

DATA = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def public_data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"public data is not at {DATA.parent.name}/{DATA.name} beside the repository")
    return DATA
