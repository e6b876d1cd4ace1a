"""`python -m traincast.relay CONFIGURATION`: the relay process that `traincast.relay.join` starts."""

from __future__ import annotations

import sys

from traincast.relay.process import Configuration, main

if __name__ == "__main__":
    sys.exit(main(Configuration.from_json(sys.argv[1])))
