"""A training stops, goes on and fails without a trace in its weights."""

import copy
import logging
import signal

import pandas as pd
import pytest
import torch
from analytic import normal
from pytorch_lightning.loggers import CSVLogger
from safetensors import SafetensorError

from celltraj import TrainingError
from celltraj.models import Brownian, TrainerOptions, Training, fit_bridge, remove_checkpoint
from celltraj.models import _files as files_module
from celltraj.models.networks import HeadSizes, Points, TwoHeads, mlp, two_heads_loss
from celltraj.models.training import checkpoint as checkpoint_module
from celltraj.models.training import watch as watch_module
from celltraj.models.training.batches import Draws
from celltraj.models.training.checkpoint import fingerprint
from celltraj.models.training.module import Job, train
from celltraj.models.training.options import Schedule
from celltraj.ot import Sinkhorn
from celltraj.snapshots import Snapshots

SMALL = {"batch_size": 16, "width": 8}
FILE = "training.safetensors"


class Lines(Draws):
    """Draw points of the line ``y = a x``; those aside are of another line."""

    def __init__(self, n_steps, seed=0, *, slope=2.0, slope_aside=2.0):
        super().__init__(n_steps, torch.Generator().manual_seed(seed))
        self.slope, self.slope_aside = slope, slope_aside

    def draw(self, number, n_steps):
        x = torch.randn(n_steps, 16, 1, generator=self.generator)
        return [(one, self.slope * one) for one in x]

    def aside(self, n_steps, generator):
        return Lines(n_steps, generator.initial_seed(), slope=self.slope_aside)


def network(seed=0):
    generator = torch.Generator().manual_seed(seed)
    clouds = tuple(normal(20, 1, seed=k) for k in range(2))
    return TwoHeads(HeadSizes(1, 2, width=8), generator=generator).scale_to(
        Snapshots((0.0, 1.0), clouds)
    )


def squared_error(field, points):
    x, y = points
    rate, _ = field.heads(torch.full_like(x, 0.5), x)
    return (rate - y).square().mean()


def trained(n_steps=200, *, batches=None, loss=squared_error, validation=None, **options):
    where = {name: options.pop(name) for name in set(options) & set(vars(TrainerOptions()))}
    field = options.pop("field", None) or network()
    training = Training(trainer=TrainerOptions(**{"accelerator": "cpu"} | where), **options)
    return train(
        Job(field, batches or Lines(n_steps), loss, validation=validation),
        training,
        Schedule(n_steps, 16, training.learning_rate or 1e-2, n_steps),
        progress=False,
    )


def at_step(number, action):
    """Return the loss that does ``action`` to its value at step ``number``."""
    calls = []

    def loss(field, points):
        calls.append(points)
        value = squared_error(field, points)
        return action(value, field) if len(calls) == number else value

    return loss


def interrupt(value, field):
    raise KeyboardInterrupt


def not_a_number(value, field):
    return value * float("nan")


def infinite_slope(value, field):
    zero = sum(p.sum() for p in field.parameters()) * 0
    return value + zero.sqrt()  # its value is 0, its derivative infinite times 0


def assert_same(one, two):
    (field, history), (other, other_history) = one, two
    assert history == other_history
    for name, value in field.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


def test_the_steps_are_those_of_a_plain_loop():
    n, ema_decay = 60, 0.9
    field = network()
    average, losses = copy.deepcopy(field), []
    optimizer = torch.optim.AdamW(field.parameters(), lr=1e-2, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=n, pct_start=0.1)
    for k, points in enumerate(points for draw in Lines(n) for points in draw):
        loss = squared_error(field, points)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        decay = min(ema_decay, (1 + k) / (10 + k))
        for mean, value in zip(average.parameters(), field.parameters(), strict=True):
            mean.data.lerp_(value.data, 1 - decay)
        losses.append(float(loss.detach()))
    assert_same(trained(n, ema_decay=ema_decay), (average, tuple(losses)))


@pytest.mark.parametrize("options", [{}, {"patience": 5, "validation": lambda field: 1.0}])
@pytest.mark.parametrize("step", [30, 127, 199])
def test_an_interrupted_training_goes_on_as_if_it_were_not(tmp_path, step, options):
    options |= {"checkpoint": tmp_path / "deep", "checkpoint_every": 50}
    whole = trained(**options)
    remove_checkpoint(tmp_path / "deep")
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        trained(loss=at_step(step, interrupt), **options)
    assert signal.getsignal(signal.SIGINT) is handler
    assert (tmp_path / "deep" / FILE).exists() == (step > 50)
    # the first weights are those of the checkpoint, whatever the network begins with
    calls = []

    def counted(field, points):
        calls.append(points)
        return squared_error(field, points)

    assert_same(trained(loss=counted, resume=True, **options), whole)
    assert len(calls) == 200 - (step - 1) // 50 * 50


def test_what_was_complete_is_not_trained_again(tmp_path):
    whole = trained(checkpoint=tmp_path)
    again = trained(loss=at_step(1, interrupt), checkpoint=tmp_path, resume=True)
    assert_same(again, whole)


def test_resuming_without_a_checkpoint_starts_afresh(tmp_path, caplog):
    caplog.set_level(logging.INFO, "celltraj")
    assert_same(trained(checkpoint=tmp_path, resume=True), trained())
    assert "no checkpoint in" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 2e-2}, r"training\.learning_rate was 0\.01, is 0\.02"),
        ({"gradient_clip": 1.0}, r"training\.gradient_clip was None, is 1\.0"),
        ({"batches": Lines(200, seed=1)}, "digest of the seed's generator was"),
        ({"variables": ("a", "c")}, r"variables \['b'\] are missing, \['c'\] are new"),
        ({"variables": ("b", "a")}, r"in the order \['a', 'b'\], are in \['b', 'a'\]"),
        ({"variables": ("a",)}, r"variables \['b'\] are missing, \[\] are new"),
    ],
)
def test_the_checkpoint_of_another_training_is_refused(tmp_path, change, message):
    options = {"checkpoint": tmp_path, "variables": ("a", "b")}
    trained(**options)
    with pytest.raises(ValueError, match=message) as refused:
        trained(**options | change, resume=True)
    assert ";" not in str(refused.value)  # nothing else differs


def test_the_checkpoint_of_another_version_or_format_is_refused(tmp_path, monkeypatch):
    trained(checkpoint=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module, "__version__", "9.9")
        with pytest.raises(ValueError, match=r"celltraj was .*, is 9\.9"):
            trained(checkpoint=tmp_path, resume=True)
        patch.setattr(checkpoint_module, "_FORMAT", 99)
        with pytest.raises(ValueError, match=r"has format 2, 99 expected; .*; remove it"):
            trained(checkpoint=tmp_path, resume=True)
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="cannot read the checkpoint"):
        trained(checkpoint=tmp_path, resume=True)


def test_other_cells_and_another_sigma_are_refused(tmp_path):
    def fit(shift, sigma, *, resume):
        trainer = TrainerOptions(checkpoint=tmp_path, resume=resume)
        return fit_bridge(
            Snapshots((0.0, 1.0), (normal(20, 2, seed=0), normal(20, 2, seed=1) + shift)),
            Brownian(sigma),
            coupling=Sinkhorn(),
            training=Training(max_steps=3, trainer=trainer, **SMALL),
            generator=torch.Generator().manual_seed(0),
            progress=False,
        )

    fit(0.0, 1.0, resume=False)
    fit(0.0, 1.0, resume=True)
    with pytest.raises(ValueError, match="digest of the cells was"):
        fit(0.1, 1.0, resume=True)
    with pytest.raises(ValueError, match=r"data\.sigma was 1\.0, is 2\.0"):
        fit(0.0, 2.0, resume=True)


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    trained(checkpoint=tmp_path)
    before = (tmp_path / FILE).read_bytes()

    def fill_the_disk(tensors, path, metadata):
        path.write_bytes(b"half")
        raise SafetensorError("no space left")

    monkeypatch.setattr(files_module, "save_file", fill_the_disk)
    with pytest.raises(OSError, match="no space left"):
        trained(checkpoint=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert (tmp_path / FILE).read_bytes() == before


def test_only_the_checkpoint_is_removed(tmp_path):
    folder = tmp_path / "run"
    trained(checkpoint=folder)
    (folder / f".7-{FILE}").write_text("what a killed process left")
    (folder / "notes.txt").write_text("mine")
    remove_checkpoint(folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    (folder / "notes.txt").unlink()
    remove_checkpoint(folder)
    remove_checkpoint(folder)
    assert not folder.exists()


def test_a_fingerprint_tells_cells_times_and_weights_apart():
    x = (normal(5, 2, seed=0), normal(6, 2, seed=1))
    one = Snapshots((0.0, 1.0), x)
    others = [
        Snapshots((0.0, 2.0), x),
        Snapshots((0.0, 1.0), (x[0], x[1] + 1)),
        Snapshots((0.0, 1.0), x, (torch.arange(5), torch.ones(6))),
    ]
    assert fingerprint(one) == fingerprint(Snapshots((0.0, 1.0), x))
    assert all(fingerprint(one) != fingerprint(other) for other in others)


def test_a_loss_that_is_not_finite_stops_at_the_last_good_weights():
    with pytest.raises(TrainingError, match="the loss became nan at step 31 of 200") as failed:
        trained(loss=at_step(31, not_a_number))
    assert "on a batch with 0 in [-" in str(failed.value)
    assert "Lower learning_rate (now 0.01)" in str(failed.value)
    # a gradient that is not finite spoils the weights one step before the loss shows it
    with pytest.raises(TrainingError, match="the loss became nan at step 31 of 200") as spoilt:
        trained(loss=at_step(30, infinite_slope))
    good, also = failed.value.result.state_dict(), spoilt.value.result.state_dict()
    assert all(torch.equal(value, also[name]) for name, value in good.items())
    assert all(value.isfinite().all() for value in good.values())
    assert not torch.equal(good["net.0.weight"], network().state_dict()["net.0.weight"])


def test_losses_that_stay_on_a_device_are_read_once_a_draw(monkeypatch):
    at_once = trained(120, ema_decay=0.9)
    failures = [(31, not_a_number), (30, infinite_slope), (1, not_a_number)]
    failures += [(76, lambda value, field: value * 1e9)]
    expected = [failed_at(*one) for one in failures]
    monkeypatch.setattr(watch_module, "_is_at_hand", lambda loss: False)
    assert_same(trained(120, ema_decay=0.9), at_once)
    for one, (message, good) in zip(failures, expected, strict=True):
        also, found = failed_at(*one)
        assert also == message  # which tells step, value and batch
        assert all(torch.equal(value, found[name]) for name, value in good.items())


def failed_at(step, action):
    """Return the message and the averaged weights of a training that fails at a step."""
    with pytest.raises(TrainingError) as failed:
        trained(loss=at_step(step, action))
    return str(failed.value), failed.value.result.state_dict()


def test_a_loss_that_is_lost_for_good_stops_though_it_is_finite():
    with pytest.raises(TrainingError, match=r"the loss became \d.* at step 31 of 200") as failed:
        trained(loss=at_step(31, lambda value, field: value * 1e9))
    assert all(v.isfinite().all() for v in failed.value.result.state_dict().values())
    # a single bad batch is none
    trained(20, loss=at_step(15, lambda value, field: value * 1e3))


def test_the_last_step_can_fail_as_well():
    with pytest.raises(TrainingError, match="the weights became nan at step 20 of 20") as failed:
        trained(20, loss=at_step(20, infinite_slope))
    assert all(v.isfinite().all() for v in failed.value.result.state_dict().values())


def test_the_ranges_of_a_bad_batch_have_names():
    clouds = (normal(20, 2, seed=0), 1e30 * normal(20, 2, seed=1))
    drift = Training(max_steps=50, learning_rate=1e30, **SMALL)
    with pytest.raises(TrainingError, match=r"batch with t in \[.*\], x in \[.*\], rate in"):
        fit_bridge(
            Snapshots((0.0, 1.0), clouds),
            Brownian(1e30),
            coupling=Sinkhorn(),
            training=drift,
            generator=torch.Generator().manual_seed(0),
            progress=False,
        )


def test_an_early_stop_returns_the_best_weights(tmp_path):
    values, seen = iter([3.0, 2.0, 2.5, 2.6, 0.0]), []

    def validation(field):
        seen.append(copy.deepcopy(field.state_dict()))
        return next(values)

    field, history = trained(3000, validation=validation, patience=2)
    # checks at 250, 500, 750 and 1,000 steps; the last one is of the weights at the end
    assert len(history) == 1000
    assert all(torch.equal(v, seen[4][k]) for k, v in field.state_dict().items())
    values, seen = iter([3.0, 2.0, 2.5, 2.6, 2.7]), []
    field, history = trained(3000, validation=validation, patience=2)
    assert all(torch.equal(v, seen[1][k]) for k, v in field.state_dict().items())
    assert history == trained(3000)[1][:1000]


def test_without_a_validation_points_drawn_aside_are_watched():
    # drawn once, before the training, by a seed that comes from its generator
    by_hand, batches = Lines(3000, slope_aside=-2.0), Lines(3000, slope_aside=-2.0)
    watched = by_hand.validation(squared_error)
    wanted = trained(3000, batches=by_hand, validation=watched, patience=2)
    assert_same(trained(3000, batches=batches, patience=2), wanted)


def test_patience_must_be_positive():
    with pytest.raises(ValueError, match=r"patience must be\s+positive"):
        trained(patience=0)


def test_a_bridge_stops_early_by_points_of_its_own():
    def n_steps(seed, **options):
        bridge = fit_bridge(
            Snapshots((0.0, 1.0), (normal(20, 2, seed=0), normal(20, 2, seed=1))),
            Brownian(1.0),
            coupling=Sinkhorn(),
            training=Training(max_steps=2000, **SMALL, **options),
            generator=torch.Generator().manual_seed(seed),
            progress=False,
        )
        return len(bridge.losses)

    # a check that finds no less stops it: by chance that comes before the last of eight checks in
    # two fits of three
    found = [n_steps(seed, patience=1) for seed in range(4)]
    assert all(n % 250 == 0 for n in found)
    assert min(found) < 2000
    assert n_steps(0) == 2000


def test_the_norm_of_the_gradient_is_bounded():
    field = network()
    trained(20, field=field, gradient_clip=1e-3)
    gradients = torch.cat([p.grad.flatten() for p in field.parameters()])
    assert float(gradients.norm()) == pytest.approx(1e-3, rel=1e-3)


def test_half_precision_keeps_the_weights_in_full():
    field, history = trained(precision="bf16-mixed")
    _, exact_history = trained()
    assert all(v.dtype == torch.float32 for v in field.parameters())
    assert history != exact_history
    # bfloat16 keeps eight bits of a number
    assert history[-1] == pytest.approx(exact_history[-1], abs=0.02)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")
def test_a_compiled_loss_has_the_same_value():
    def loss(field, points):
        x, y = points
        return (field(x) - y).square().mean()

    # a network without annotations of shapes, whose checks in tests cannot be compiled
    def plain():
        return mlp(1, 1, width=8, generator=torch.Generator().manual_seed(0))

    _, history = trained(20, field=plain(), loss=loss, compile=True)
    assert history == pytest.approx(trained(20, field=plain(), loss=loss)[1], rel=1e-4)


def test_a_logger_gets_the_loss_at_each_step(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, history = trained(200)
    assert list(tmp_path.iterdir()) == []
    logger = CSVLogger(tmp_path, name="fit")
    _, logged = trained(200, logger=logger)
    assert logged == history
    table = pd.read_csv(tmp_path / "fit" / "version_0" / "metrics.csv")
    assert table["loss"].tolist() == pytest.approx(history)
    assert table["learning_rate"].notna().sum() == 4  # at the end of each draw
    assert "learning_rate: 0.01" in (tmp_path / "fit" / "version_0" / "hparams.yaml").read_text()


def test_threads_and_the_global_random_state_are_left_alone():
    before, state, threads = torch.get_num_threads(), torch.get_rng_state(), []

    def loss(field, points):
        threads.append(torch.get_num_threads())
        return squared_error(field, points)

    torch.set_num_threads(2)
    try:
        trained(20, loss=loss)
        assert set(threads) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"accelerator": "abacus"}, r"one of \('auto', 'cpu', 'gpu'\); found 'abacus'"),
        ({"devices": 2}, "trained on one device; found devices=2"),
        ({"devices": [0, 1]}, "trained on one device"),
        ({"precision": "16"}, "precision must be one of"),
        ({"gradient_clip": 0.0}, "Pass None for no bound"),
        ({"checkpoint_every": 0}, "at least 1; found 0"),
        ({"resume": True}, "pass checkpoint="),
    ],
)
def test_options_of_the_trainer_are_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        TrainerOptions(**wrong)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for what is there")
def test_a_gpu_that_is_not_there_is_said_before_the_fit():
    assert not TrainerOptions().is_on_gpu
    with pytest.raises(ValueError, match='pass accelerator="auto"'):
        TrainerOptions(accelerator="gpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_network_trained_on_the_gpu_comes_back(tmp_path):
    where = {"accelerator": "gpu", "checkpoint": tmp_path, "checkpoint_every": 50}
    field, history = trained(**where)
    assert {value.device.type for value in field.state_dict().values()} == {"cpu"}
    # the same points in another order of sums
    assert history == pytest.approx(trained()[1], rel=0.1, abs=1e-3)
    assert_same(trained(resume=True, **where), (field, history))


def test_the_loss_of_two_heads_vanishes_at_the_truth():
    field, t, x = network(), torch.full((10, 1), 0.5), normal(10, 1, seed=0).float()
    rate, score = (head.detach() for head in field.heads(t, x))
    width = torch.full((10, 1), 2.0)
    one, zero = torch.ones(10, 1), torch.zeros(10, 1)
    noise = -width * score / field.scale
    points = Points(t, x, rate * field.speed, noise, width, one, zero, zero)
    assert float(two_heads_loss(field, points).detach()) < 1e-10
    off = points._replace(rate=points.rate + 3 * field.speed)
    assert float(two_heads_loss(field, off).detach()) == pytest.approx(9)
    # a path counts by its mass
    heavy = off._replace(mass=2 * one)
    assert float(two_heads_loss(field, heavy).detach()) == pytest.approx(18)
