"""Files that are damaged, mixed up or made to harm are refused by a documented error.

Whatever loads without a change of its digest must be what was saved. All is done in a child of
bounded memory, so that what a file claims cannot be allocated.
"""

import copy
import json
import logging
import math
import random
import resource
import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from child import needs_fork, result_of
from safetensors.torch import save_file
from stored import KINDS, bytes_of, content_of, small, write_as_it_is, write_old

import celltraj as ct
from celltraj.models import TrainerOptions, Training
from celltraj.models._files import read_file
from celltraj.models.networks import mlp
from celltraj.models.training.batches import Draws
from celltraj.models.training.module import Job
from celltraj.models.training.module import train as train_network
from celltraj.models.training.options import Schedule

FILE, CHECKPOINT = "model.safetensors", "training.safetensors"
MEMORY = 500_000_000  # bytes beyond what is in use at the start
SECONDS = 5.0  # of one case, on a machine that does other things too
NUMBERS = [-1, 0, 2, 20_000, 2**62, 10**400, 1e308, -0.5]
HOSTILE = [None, True, *NUMBERS, "x", "", [], {}, [[0]], [None]]
LITERALS = ["NaN", "-Infinity", "1e999", '{"a":1,"a":1}', "[" * 5000, "1" * 5000, "", "\u0000"]


def load_model(folder):
    return bytes_of(ct.load(folder), folder / "again")


class Steps(Draws):
    """Draw the steps of a training."""

    def draw(self, number, n_steps):
        return [(torch.randn(4, 2, generator=self.generator),) for _ in range(n_steps)]

    def aside(self, n_steps, generator):
        return Steps(n_steps, generator)


def train(folder, *, resume):
    """Return weights and losses of a training that leaves its checkpoint in ``folder``."""
    job = Job(
        mlp(2, 1, width=2, generator=torch.Generator().manual_seed(1)),
        Steps(2, torch.Generator().manual_seed(0)),
        lambda network, points: network(points[0]).square().mean(),
        validation=lambda network: 1.0,
    )
    trainer = TrainerOptions(accelerator="cpu", checkpoint=folder, resume=resume)
    training = Training(patience=3, trainer=trainer)
    network, losses = train_network(job, training, Schedule(2, 4, 1e-2, 2), progress=False)
    weights = {name: value.tolist() for name, value in network.state_dict().items()}
    return repr([losses, weights])


def resume(folder):
    """Return what a training comes to that goes on; every step was taken before."""
    return train(folder, resume=True)


def outcome(read, folder, saved):
    """Return in a word what reading the file came to."""
    start = time.monotonic()
    try:
        found = read(folder)
    except (FileNotFoundError, ValueError) as error:
        text = str(error)
        is_clear = str(folder) in text and len(text) < 1000 and "\n" not in text
        word = "refused" if is_clear else f"unclear: {text[:300]!r}"
    except BaseException as error:  # noqa: BLE001
        word = f"raw: {type(error).__name__}: {str(error)[:300]}"
    else:
        word = "the same" if found == saved else "changed"
    return word if time.monotonic() - start < SECONDS else f"slow: {word}"


def damaged(content, draws, n):
    """Yield a name and the bytes of a file that something happened to."""
    for k in range(n):
        at, other = draws.randrange(len(content)), draws.randrange(len(content))
        size = min(draws.randint(1, 64), len(content) - max(at, other))
        changed = bytearray(content)
        kind = ("bit", "bit", "bit", "cut", "zeros", "swap", "insert", "drop")[k % 8]
        if kind == "bit":
            changed[at] ^= 1 << draws.randrange(8)
        elif kind == "cut":
            changed = changed[:at]
        elif kind == "zeros":
            changed[at : at + size] = bytes(size)
        elif kind == "swap":
            one, two = changed[at : at + size], changed[other : other + size]
            changed[at : at + size], changed[other : other + size] = two, one
        elif kind == "insert":
            changed[at:at] = draws.randbytes(size)
        else:
            del changed[at : at + size]
        yield f"{kind} at {at}", bytes(changed)


def leaves(facts, path=()):
    """Yield the way to every entry of JSON."""
    if path:
        yield path
    items = facts.items() if isinstance(facts, dict) else enumerate(facts)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def with_leaf(facts, path, value):
    """Return facts with another value at ``path``; with none where ``value`` is ``...``."""
    facts = copy.deepcopy(facts)
    place = facts
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    elif value is dict:
        place = place[path[-1]] if isinstance(place[path[-1]], dict) else place
        if isinstance(place, dict):
            place["unknown"] = 1
    else:
        place[path[-1]] = value
    return facts


def hostile_facts(content, draws, n):
    """Yield contents whose facts are none, each with a digest of its own."""
    cases = [(path, value) for path in leaves(content.facts) for value in (*HOSTILE, ..., dict)]
    for path, value in draws.sample(cases, min(n, len(cases))):
        name = f"{'.'.join(map(str, path))} = {str(value)[:20]}"
        yield name, replace(content, facts=with_leaf(content.facts, path, value))


def hostile_tensors(content, draws, n):
    """Yield contents with tensors that are none, each with a digest of its own."""

    def changes(value):
        yield "gone", None
        yield "empty", value[:0] if value.ndim else value[None][:0]
        yield "flat", value.reshape(-1)
        yield "deep", value[None]
        yield "twice", torch.cat([value, value]) if value.ndim else value[None]
        yield "whole", (value > 0)
        yield "half", value.to(torch.bfloat16)
        yield "huge", torch.full_like(value.double(), 1e308).to(value.dtype)
        yield "negative", -value.double().abs().to(value.dtype) - 1
        yield "nan", torch.full_like(value.double(), math.nan).to(value.dtype)

    cases = [(name, *one) for name, value in content.tensors.items() for one in changes(value)]
    for name, what, value in draws.sample(cases, min(n, len(cases))):
        tensors = {key: v for key, v in content.tensors.items() if key != name}
        if value is not None:
            tensors[name] = value.contiguous()
        yield f"{name} {what}", replace(content, tensors=tensors)
    yield "more", replace(content, tensors=content.tensors | {"x.99": torch.zeros(1)})


def hostile_texts(content):
    """Yield headers that are no header of ours."""
    record = {"kind": content.kind, "format": content.format, "facts": content.facts}
    text = json.dumps(record | {"digest": "0" * 64})
    yield "digest", text
    for literal in LITERALS:
        yield f"facts {literal[:9]!r}", text.replace('"facts": {', f'"facts": {{"a": {literal},', 1)
        yield f"all {literal[:9]!r}", literal
    for key in record:
        yield f"no {key}", json.dumps({k: v for k, v in record.items() if k != key})
        for value in HOSTILE:
            yield f"{key} = {str(value)[:9]}", json.dumps(record | {key: value, "digest": "0"})


def lying_headers(content):
    """Yield files whose header claims tensors that are not there."""
    for shape in ([2**40], [2**31, 2**31], [0, 2**62, 2**62], [2**63], [-1], [1.5], "x", None):
        for last in (8, 2**43, -8, None):
            entry = {"dtype": "F64", "shape": shape, "data_offsets": [0, last]}
            header = json.dumps({"x": entry}).encode()
            yield f"{shape} {last}", struct.pack("<Q", len(header)) + header + bytes(8)
    for length in (0, 1, 2**32, 2**63, 2**64 - 1):
        yield f"length {length}", struct.pack("<Q", length) + content[8:]


def memory():
    """Return the bytes that this process has at most had in use."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def limit_memory():
    """Have the system refuse this process more than ``MEMORY`` beyond what it holds now."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))


def attack(folder, read, file, n):
    """Return how often each outcome came, the cases that went wrong, and the memory they took."""
    logging.disable(logging.CRITICAL)
    limit_memory()
    before, saved, path = memory(), read(folder), folder / file
    whole, draws = path.read_bytes(), random.Random(0)
    content = read_file(path, formats=(2, 6))
    content = replace(content, tensors={k: v.clone() for k, v in content.tensors.items()})
    counts, wrong = {}, []

    def note(name, allowed):
        word = outcome(read, folder, saved)
        counts[word.split(":")[0]] = counts.get(word.split(":")[0], 0) + 1
        if word not in allowed:
            wrong.append(f"{name}: {word}")

    for name, changed in damaged(whole, draws, n):
        path.write_bytes(changed)
        note(name, {"refused", "the same"})
    for name, changed in lying_headers(whole):
        path.write_bytes(changed)
        note(name, {"refused"})
    for name, text in hostile_texts(content):
        save_file(content.tensors, path, metadata={"celltraj": text})
        note(name, {"refused"})
    for name, changed in hostile_facts(content, draws, n):
        write_as_it_is(path, changed)
        note(name, {"refused", "the same", "changed"})  # its digest says so
    for name, changed in hostile_tensors(content, draws, n // 2):
        write_as_it_is(path, changed)
        note(name, {"refused", "the same", "changed"})
    return counts, wrong[:20], memory() - before


def checked(found):
    counts, wrong, used = found
    assert not wrong, f"{len(wrong)} of {counts}: {wrong}"
    assert used < MEMORY
    assert counts["refused"] > 0.5 * sum(counts.values())
    assert sum(counts.values()) >= 200


@needs_fork
@pytest.mark.parametrize("kind", KINDS)
def test_models(tmp_path, kind):
    small(kind).save(tmp_path)
    checked(result_of(lambda: attack(tmp_path, load_model, FILE, 60)))


@needs_fork
@pytest.mark.parametrize("kind", ["still", "flow", "response"])
def test_models_of_an_older_format(tmp_path, kind):
    """They have no digest, so that a changed number passes: that is logged, and nothing worse."""
    small(kind).save(tmp_path / "new")
    content = content_of(tmp_path / "new")
    write_old(tmp_path, content, 5)
    names = [f"{content.kind}.json", "tensors.safetensors"]
    saved = [(tmp_path / name).read_bytes() for name in names]

    def attack_both():
        logging.disable(logging.CRITICAL)
        limit_memory()
        draws, wrong, n = random.Random(0), [], 0
        for name, whole in zip(names, saved, strict=True):
            for case, changed in damaged(whole, draws, 60):
                (tmp_path / name).write_bytes(changed)
                word = outcome(load_model, tmp_path, b"")
                n += 1
                if word not in ("refused", "changed"):
                    wrong.append(f"{name}: {case}: {word}")
            (tmp_path / name).write_bytes(whole)
        return n, wrong

    n, wrong = result_of(attack_both)
    assert not wrong
    assert n == 120


@needs_fork
def test_checkpoints(tmp_path):
    train(tmp_path, resume=False)
    checked(result_of(lambda: attack(tmp_path, resume, CHECKPOINT, 40)))
