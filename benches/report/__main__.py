"""Makes docs/performance.md and its pictures from what `make bench` measured.

    python -m benches.report docs/performance.json

Every figure in the page comes from the file; the text around them is in templates/.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benches.report import page, pictures


def main() -> None:
    source = Path(sys.argv[1])
    results = json.loads(source.read_text())
    written = source.with_suffix(".md")
    written.write_text(page.text(results))
    found = {name: group["result"] for name, group in results["groups"].items()}
    drawn = pictures.draw(found, list(page.peers(found).values()), source.parent / "images")
    print("written:", written, *drawn)


if __name__ == "__main__":
    main()
