"""What a user may have forgotten is said: a run of a worker's own, one that publishes nothing."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

AT_THE_TOP = """
    import multiprocessing, sys
    import gymnasium
    import traincast

    run = traincast.Run("top")  # at the top level: each worker that is spawned makes another one

    class Env(gymnasium.Wrapper):
        def set_training_info(self, training_info):
            self.steps = training_info["approx_total_training_steps"]

    def work(told):
        env = run.wrap_env(Env(gymnasium.make("CartPole-v1")))
        env.reset()
        told.put(env.env.steps)

    if __name__ == "__main__":
        run.publish(7)
        context = multiprocessing.get_context(sys.argv[1])
        told = context.Queue()
        worker = context.Process(target=work, args=(told,))
        worker.start()
        print(told.get())
        worker.join()
"""


def program(path, code, *arguments):
    """Run a program of its own; return its output and what it said on stderr."""
    file = path / "train.py"
    file.write_text(textwrap.dedent(code))
    ended = subprocess.run([sys.executable, file, *arguments], capture_output=True, text=True, check=False)
    return ended.stdout.split(), ended.stderr


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_run_that_a_starting_worker_makes_for_itself_says_so(tmp_path, method):
    told, said = program(tmp_path, AT_THE_TOP, method)
    assert told == ["0"]
    assert said.count("TraincastWarning: a worker process that is starting has made a run of its own") == 1
    assert 'if __name__ == "__main__":' in said


def test_a_forked_worker_has_the_run_of_the_learner(tmp_path):
    assert program(tmp_path, AT_THE_TOP, "fork") == (["7"], "")


SOON = "import sys, traincast\nfrom traincast import _oversights\n_oversights._PATIENCE = {patience}\n"
SILENT = "TraincastWarning: run 'silent-"


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("", True),
        ("run.close()", True),
        ("sys.exit(0)", True),
        ("with run: pass", True),
        ("run.publish(9)", False),
        ("raise RuntimeError('a bug')", False),
        ("with run: raise RuntimeError('a bug')", False),
    ],
    ids=["normally", "close", "exit", "block", "published", "exception", "exception in the block"],
)
def test_a_run_that_publishes_nothing_after_its_start_says_so_at_its_end(tmp_path, end, said):
    code = SOON.format(patience=0) + f"run = traincast.Run('silent', start=5)\n{end}\n"
    errors = program(tmp_path, code)[1]
    assert errors.count(SILENT) == said
    assert ("its envs stayed at 5 training steps. Call run.publish(steps)" in errors) == said


def test_a_short_look_at_a_run_needs_no_publish(tmp_path):
    assert program(tmp_path, SOON.format(patience=60) + "run = traincast.Run('silent')") == ([], "")


def test_a_handler_that_comes_late_in_the_exit_still_gets_the_state(tmp_path):
    code = """
        import atexit

        def save():
            print(run.state_dict()["training_info"]["approx_total_training_steps"], run.closed)

        atexit.register(save)  # handlers are called in reverse order: after all that traincast does

        import traincast

        run = traincast.Run("saved")
        run.publish(4096)
    """
    assert program(tmp_path, code) == (["4096", "True"], "")


def test_a_curriculum_that_heard_of_no_episode_says_so_also_at_the_end_of_the_program(tmp_path):
    code = """
        import traincast

        run = traincast.Run("pooled")
        curriculum = traincast.curriculum.PooledCurriculum(run, levels=3, promote_at=0.5)
        for _ in range(100):
            curriculum.update()
    """
    assert "has heard of no episode in 100 updates" in program(tmp_path, code)[1]
