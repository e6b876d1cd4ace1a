"""CUDA tensors in training information: published from the GPU, read on the CPU, where nobody needs a GPU."""

from __future__ import annotations

import multiprocessing
import threading

import pytest
import torch

import traincast

GPU = torch.device("cuda")

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    *(torch.complex64, torch.complex128),
]


@pytest.fixture
def channel(channel_name):
    with traincast.TrainingInfoWriter(channel_name, required=()) as writer:
        writer.publish({})
        with traincast.TrainingInfoReader(channel_name) as reader:
            yield writer, reader


def read_back(channel, value):
    writer, reader = channel
    writer.publish({"value": value})
    return reader.read()["value"]


def assert_same(found, wanted):
    assert type(found) is torch.Tensor
    assert found.device.type == "cpu"
    assert not found.requires_grad
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    bits = wanted.detach().cpu().resolve_conj().resolve_neg().contiguous()
    assert found.reshape(-1).view(torch.uint8).tolist() == bits.reshape(-1).view(torch.uint8).tolist()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_tensor_arrives_bit_by_bit_on_the_cpu(channel, dtype):
    values = torch.arange(24, device=GPU).reshape(2, 3, 4).to(dtype)
    assert_same(read_back(channel, values), values)
    assert_same(read_back(channel, values[1, 2]), values[1, 2])


@pytest.mark.parametrize(
    "change",
    [
        *(
            lambda t: t.T,
            lambda t: t[::2, 1:],
            lambda t: t.expand(3, *t.shape),
            lambda t: t[0, 0],
            lambda t: t[:0],
        ),
        *(
            lambda t: t.requires_grad_(),
            lambda t: torch.nn.Parameter(t),
            lambda t: t.conj(),
            lambda t: t.neg(),
        ),
        lambda t: torch.complex(t, t).conj(),
        lambda t: torch.complex(t, t).conj().imag,  # has its sign to be turned yet
    ],
    ids=[
        "transposed",
        "slice",
        "expanded",
        "0-d",
        "empty",
        "grad",
        "parameter",
        "conj",
        "neg",
        "lazy conj",
        "lazy neg",
    ],
)
def test_a_view_arrives_as_what_it_shows(channel, change):
    tensor = change(torch.randn(4, 6, device=GPU))
    assert_same(read_back(channel, tensor), tensor)


def test_what_the_gpu_still_computes_arrives_whole(channel):
    """Publishing waits for the stream that is current; it changes nothing on the GPU."""
    big = torch.ones(3000, 3000, device=GPU)
    for count in range(1, 20):
        big.fill_(float(count))
        for _ in range(5):
            big = (big @ torch.eye(3000, device=GPU)).contiguous()
        found = read_back(channel, big)
        assert (found == count).all(), count
        assert big.device.type == "cuda"


def test_a_large_tensor_and_updates_of_it(channel):
    writer, reader = channel
    levels = torch.rand(1_000_000, device=GPU)
    writer.publish({"levels": levels, "step": 0})
    for step in range(1, 50):
        levels[step] = step
        writer.update(levels=levels, step=step)
        info = reader.read()
        assert info["step"] == step
        assert torch.equal(info["levels"], levels.cpu())


def test_what_was_handed_out_stays_as_it_is(channel):
    writer, reader = channel
    levels = torch.zeros(1000, device=GPU)
    kept = []
    for step in range(20):
        levels.fill_(step)
        writer.publish({"levels": levels})
        kept.append(reader.read()["levels"])
    assert [(tensor.min().item(), tensor.max().item()) for tensor in kept] == [(n, n) for n in range(20)]


def test_steps_and_scores_may_be_numbers_on_the_gpu(channel_name):
    with traincast.Run(channel_name, unique=False) as run, traincast.scores.Scoreboard(run, tasks=4) as board:
        run.publish(torch.tensor(640, device=GPU), entropy=torch.tensor(0.5, device=GPU).item())
        assert traincast.TrainingInfoReader(run.name).read()["approx_total_training_steps"] == 640
        scores = traincast.scores.ScoreWriter(run)
        for task, value in zip(torch.arange(4, device=GPU), torch.linspace(0, 1, 4, device=GPU), strict=True):
            assert scores.record(task, success=value > 0.5, episode_return=value, length=task)
        counted = board.collect()
        assert counted["episodes"].tolist() == [1] * 4
        assert counted["successes"].tolist() == [0, 0, 1, 1]
        assert counted["length_sum"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("layout", ["sparse", "nested", "quantized"])
def test_what_cannot_be_published_is_refused_with_the_remedy(channel, layout):
    make = {
        "sparse": (lambda: torch.eye(4, device=GPU).to_sparse(), "to_dense"),
        "nested": (
            lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], device=GPU),
            "unbind",
        ),
        "quantized": (
            lambda: torch.quantize_per_tensor(torch.ones(4, device=GPU), 0.1, 0, torch.qint8),
            "dequantize",
        ),
    }
    build, remedy = make[layout]
    with pytest.raises((TypeError, ValueError), match=remedy):
        read_back(channel, build())


@pytest.mark.parametrize("library", ["cupy", "jax.numpy"])
def test_arrays_of_other_libraries_arrive_from_the_gpu(channel, library, monkeypatch):
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    numpy_like = pytest.importorskip(library)
    values = numpy_like.arange(6, dtype="float32").reshape(2, 3)
    found = read_back(channel, values)
    assert found.dtype == "float32"
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises((TypeError, ValueError)):
        found[0] = 7


def _look(name, answers):
    with traincast.TrainingInfoReader(name) as reader:
        levels = reader.read()["levels"]
    answers.put((levels.tolist(), str(levels.device), torch.cuda.is_initialized()))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_read_it_without_touching_the_gpu(channel_name, method):
    """A forked child of a process that uses CUDA must not: it would end with an error of CUDA's."""
    with traincast.TrainingInfoWriter(channel_name, required=()) as writer:
        writer.publish({"levels": torch.tensor([0.25, 0.75], device=GPU)})
        context = multiprocessing.get_context(method)
        answers = context.Queue()
        worker = context.Process(target=_look, args=(channel_name, answers))
        worker.start()
        assert answers.get(timeout=120) == ([0.25, 0.75], "cpu", False)
        worker.join()
        assert worker.exitcode == 0


def test_threads_that_train_and_publish_at_the_same_time(channel):
    writer, reader = channel
    over = threading.Event()

    def train():
        weights = torch.randn(512, 512, device=GPU)
        while not over.is_set():
            weights = torch.tanh(weights @ weights)

    threads = [threading.Thread(target=train) for _ in range(2)]
    for thread in threads:
        thread.start()
    levels = torch.zeros(5000, device=GPU)
    for step in range(300):
        levels.fill_(step)
        writer.publish({"levels": levels})
        found = reader.read()["levels"]
        assert (found == step).all()
    over.set()
    for thread in threads:
        thread.join()
