# hook = TrainingInfoHook()                            before the envs are made
# ParallelEnv(2, hook.wrap_env_fn(make_env))           or GymWrapper(hook.wrap_env(env)), or hook.transform()
# hook.register(trainer)                               publishes after each batch; saved with the trainer
"""PPO on a CartPole whose pole grows with the frames that the trainer has collected."""

import argparse

import gymnasium
import torch
from tensordict.nn import TensorDictModule
from torchrl.checkpoint import Checkpoint
from torchrl.collectors import Collector
from torchrl.envs import GymWrapper, ParallelEnv
from torchrl.modules import MLP, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE
from torchrl.record import CSVLogger
from torchrl.trainers import BatchSubSampler, Trainer, ValueEstimatorHook

from traincast.curriculum import Linear, ProgressCurriculum
from traincast.integrations.torchrl import CurriculumInfoReader, TrainingInfoHook


def make_env():
    env = ProgressCurriculum(gymnasium.make("CartPole-v1"), {"length": Linear(0.2, 0.8, 8000)})
    env = GymWrapper(env, categorical_action_encoding=True)
    return env.set_info_dict_reader(CurriculumInfoReader(["progress", "length"]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--resume", metavar="CHECKPOINT", help="go on from where a training was saved")
    args = parser.parse_args()
    hook = TrainingInfoHook(resume_from=args.resume)
    policy = ProbabilisticActor(
        TensorDictModule(MLP(4, 2, num_cells=[64]), in_keys=["observation"], out_keys=["logits"]),
        in_keys=["logits"],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
    )
    critic = ValueOperator(MLP(4, 1, num_cells=[64]))
    loss = ClipPPOLoss(policy, critic)
    envs = ParallelEnv(2, hook.wrap_env_fn(make_env), mp_start_method="fork")  # its workers start at once
    trainer = Trainer(
        collector=Collector(envs, policy, frames_per_batch=400, total_frames=-1),
        total_frames=args.steps, frame_skip=1, loss_module=loss, num_epochs=4, optim_steps_per_batch=4,
        optimizer=torch.optim.Adam(loss.parameters(), 3e-3), progress_bar=False,
        logger=CSVLogger("cartpole"), log_interval=1, save_trainer_interval=1000,
        checkpoint=Checkpoint(), save_trainer_file="cartpole.checkpoint",
    )  # fmt: skip
    ValueEstimatorHook(GAE(gamma=0.99, lmbda=0.95, value_network=critic)).register(trainer)
    BatchSubSampler(batch_size=100, sub_traj_len=1).register(trainer)
    hook.register(trainer)
    if args.resume:
        trainer.load_from_file(args.resume)
    trainer.train()
    rollout = hook.wrap_eval_env(make_env()).rollout(500, policy)
    length = rollout["curriculum", "length"][0]
    print(f"after {trainer.collected_frames} frames: {len(rollout)} steps with a pole of length {length:.2f}")
