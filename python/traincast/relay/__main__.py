"""`python -m traincast.relay`: a relay, as `traincast.relay.join` executes it."""

from __future__ import annotations

import os
import sys

from traincast.relay.process import Configuration, main

if __name__ == "__main__":
    status = main(Configuration.from_json(sys.argv[1]))
    sys.stderr.flush()
    os._exit(status)  # a thread may hang in a call of the engine
