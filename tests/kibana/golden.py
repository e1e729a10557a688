"""What Kibana is given, as files: refresh with `python -m tests.kibana.golden`."""

from __future__ import annotations

from pathlib import Path

from cyberterr.config import Elastic
from cyberterr.kibana import bundle, rule

FOLDER = Path(__file__).parents[1] / "data" / "kibana"


def built() -> dict[str, bytes]:
    """Each file's content, as the code makes it now."""
    settings = Elastic()
    return {
        "bundle.ndjson": bundle.ndjson(settings, lang="en"),
        "bundle.fr.ndjson": bundle.ndjson(settings, lang="fr"),
        "rule.ndjson": rule.ndjson(settings, lang="en"),
        "rule.fr.ndjson": rule.ndjson(settings, lang="fr"),
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, content in built().items():
        (FOLDER / name).write_bytes(content)
