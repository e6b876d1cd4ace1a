"""Runs one group of measurements in this process; `python -m benches` starts it.

python -m benches.cases GROUP --json FILE [--quick]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benches.cases import groups

parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
parser.add_argument("group", choices=list(groups.GROUPS))
parser.add_argument("--json", type=Path, required=True)
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()
options.json.write_text(json.dumps(groups.here(options.group, options.quick)))
