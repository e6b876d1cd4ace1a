"""Sub-interpreters are refused, in words, whoever imports first; the main interpreter does not suffer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from processes import WATCHDOG_SECONDS

INSIDE = """
import sys
sys.path[:] = PATH
said = []
for _ in range(2):
    try:
        import traincast
        said.append("loaded")
    except ImportError as error:
        said.append(str(error))
with open(ANSWER, "w") as answer:
    answer.write("\\n".join(said))
"""

MAIN = """
import sys
try:
    import _interpreters as interpreters
except ImportError:  # before CPython 3.13
    import _xxsubinterpreters as interpreters
order, isolated, answer, code = sys.argv[1:]
if order == "after":
    import traincast
if hasattr(interpreters, "new_config"):
    interpreter = interpreters.create("isolated" if isolated == "yes" else "legacy")
else:
    interpreter = interpreters.create(isolated=isolated == "yes")
code = code.replace("PATH", repr(sys.path)).replace("ANSWER", repr(answer))
failed = interpreters.run_string(interpreter, code)
assert failed is None, failed
interpreters.destroy(interpreter)
import traincast
with traincast.TrainingInfoWriter("main") as writer:
    writer.publish({"approx_total_training_steps": 1})
    assert traincast.TrainingInfoReader("main")["approx_total_training_steps"] == 1
try:
    traincast.TrainingInfoReader("nothing")
except traincast.ChannelNotFoundError:
    print("fine")
"""

OURS = (
    "traincast cannot be loaded in a sub-interpreter: use it from the main interpreter, in any thread, "
    "or from a process of its own"
)
CPYTHONS = "module traincast._core does not support loading in subinterpreters"


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("isolated", ["yes", "no"])
def test_a_subinterpreter_is_refused_and_the_main_one_goes_on(
    tmp_path: Path, order: str, isolated: str
) -> None:
    answer = tmp_path / "answer"
    done = subprocess.run(
        [sys.executable, "-c", MAIN, order, isolated, answer, INSIDE],
        check=False,
        capture_output=True,
        text=True,
        timeout=WATCHDOG_SECONDS,
    )
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr
    said = answer.read_text().splitlines()
    assert len(said) == 2
    # From 3.12 on, CPython does it for interpreters with a lock of their own.
    assert set(said) == {CPYTHONS if isolated == "yes" and sys.version_info >= (3, 12) else OURS}
