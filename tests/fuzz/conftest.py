"""A data folder of its own, so that no key is made in anybody's home."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def data_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CYBERTERR_HOME", str(tmp_path_factory.mktemp("home")))
        yield
