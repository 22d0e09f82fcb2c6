"""Models and trainings in files: written whole or not at all, checked before anything is believed.

A file is a safetensors file: numbers as float64 tensors, which any reader of that format shows, and
a header in JSON. It holds the model's parameters and, as far as they were handed in, everything
else that a training consists of: the state of the optimizer and its place in the learning-rate
schedule, the history, and the state of the random source that orders the rows. A training that goes
on from a file equals one that was never interrupted, bit for bit. Nothing is ever pickled: reading
a file runs no code from it.

The notes end their section 'The Backpropagation Algorithm' with "repeat until convergence"; this
room is for those who want to sleep in between.

Needs safetensors and numpy, from the extra ``[io]``.

>>> import random, tempfile
>>> from tinygrad_edu.nn import MLP, cross_entropy
>>> from tinygrad_edu.optim import Adam
>>> from tinygrad_edu.training import fit
>>> model, optimizer, source = MLP(2, [4, 1], seed=1), Adam(0.1), random.Random(2)
>>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
>>> history = fit(model, X, y, loss=cross_entropy, optimizer=optimizer, batch=2, seed=source,
...               epochs=3)
>>> with tempfile.TemporaryDirectory() as folder:
...     path = folder + "/xor.safetensors"
...     save(path, model, optimizer=optimizer, history=history, seed=source)
...     again, resumed, order = MLP(2, [4, 1]), Adam(0.1), random.Random()
...     history = load(path, again, optimizer=resumed, seed=order)
...     load_model(path)
MLP(2 -> 4 relu -> 1 identity, 17 parameters)
>>> again.state_dict() == model.state_dict(), resumed.steps, history
(True, 6, <history of 3 epochs: loss ... -> ...; all 3 epochs done>)
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable, Mapping
from copy import copy
from pathlib import Path
from typing import Any, NoReturn

from tinygrad_edu._files import write_atomically
from tinygrad_edu._interrupts import HeldBack
from tinygrad_edu.engine.operation import to_float
from tinygrad_edu.nn.module import Module
from tinygrad_edu.nn.structure import build, check, describe, in_words
from tinygrad_edu.optim import Optimizer
from tinygrad_edu.training import History

FORMAT = 1  # raised when an older reader would misunderstand what a newer writer means
_KEY = "tinygrad_edu"
_PathLike = str | os.PathLike[str]


def save(
    path: _PathLike,
    model: Module,
    *,
    optimizer: Optimizer | None = None,
    history: History | None = None,
    seed: random.Random | None = None,
) -> None:
    """Write a model, and what its training needs to go on, to a safetensors file.

    ``path`` holds the old file or the whole new one at any moment, however the writing ends.

    Args:
        path: Where to; the folder must exist.
        model: Any module; those of ``tinygrad_edu.nn`` can be built again by ``load_model``.
        optimizer: The one that ``fit`` was given.
        history: The one that ``fit`` returned.
        seed: The ``random.Random`` that ``fit`` was given.

    Raises:
        TypeError: If an argument is none of these. No file is written.
        OSError: If the file cannot be written; an old one is as it was.
        ImportError: If safetensors or numpy is not installed.

    >>> import tempfile
    >>> from tinygrad_edu.nn import Neuron
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(folder + "/neuron.safetensors", Neuron(2, initialization="zeros"))
    ...     load_model(folder + "/neuron.safetensors").state_dict()
    {'w': [0.0, 0.0], 'b': 0.0}
    """
    _check(model, Module, "model", "a Module")
    tensors = {f"model.{name}": held for name, held in model.state_dict().items()}
    if not tensors:
        raise ValueError(f"model: expected at least one parameter, {model!r} has none")
    header: dict[str, Any] = {"format": FORMAT, "model": describe(model)}
    if optimizer is not None:
        _check(optimizer, Optimizer, "optimizer", "an Optimizer")
        state = optimizer.state_dict()
        tensors["optimizer.state"] = state.pop("state")
        header["optimizer"] = state
    if history is not None:
        _check(history, History, "history", "a History")
        header["history"], columns = _split(history)
        tensors.update(columns)
    if seed is not None:
        header["random"] = _random_state(seed)
    write_atomically(path, _packed(header, tensors))


def load(
    path: _PathLike,
    model: Module,
    *,
    optimizer: Optimizer | None = None,
    seed: random.Random | None = None,
) -> History | None:
    """Set a model to what a file holds, and with it an optimizer and a random source.

    The optimizer keeps its own settings (learning rate, schedule, ...) and gets the file's state
    and counts, so that it goes on at the same place of its schedule. On error nothing is changed:
    neither the model nor the optimizer nor the random source.

    Args:
        path: A file written by ``save``.
        model: Of the same structure as the one that was saved.
        optimizer: Of the same kind as the one that was saved.
        seed: The ``random.Random`` for ``fit`` to go on with.

    Returns:
        The history in the file, to be handed to ``fit(..., history=...)``; ``None`` without one.

    Raises:
        TypeError: If an argument is none of these.
        ValueError: If the file is truncated, damaged, foreign or of another version, holds a model
            of another structure or another kind of optimizer, or lacks what was asked for.
        OSError: If there is no such file or it cannot be read.
        ImportError: If safetensors or numpy is not installed.

    >>> import tempfile
    >>> from tinygrad_edu.nn import Neuron
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(folder + "/neuron.safetensors", Neuron(2, initialization="zeros"))
    ...     model = Neuron(2, seed=0)
    ...     load(folder + "/neuron.safetensors", model)
    >>> model.state_dict()
    {'w': [0.0, 0.0], 'b': 0.0}
    """
    _check(model, Module, "model", "a Module")
    header, tensors = _unpacked(path)
    # 1. Everything is checked: against the arguments, and on copies.
    there, here = header["model"], describe(model)
    if "nin" in there and "nin" in here and there != here:
        raise ValueError(f"{path}: holds {in_words(there)}, which does not fit into {model!r}")
    state = {n[6:]: held for n, held in tensors.items() if n.startswith("model.")}
    if optimizer is not None:
        _check(optimizer, Optimizer, "optimizer", "an Optimizer")
        optimizer_state = _optimizer_state(path, header, tensors, model, optimizer)
    if seed is not None:
        random_state = _saved_random(path, header, seed)
    history = _joined(path, header, tensors)
    # 2. The model goes first: only it can still refuse, and then it changes nothing.
    with HeldBack():  # a Ctrl-C comes after all of it
        try:
            model.load_state_dict(state)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: does not fit into {model!r}: {error}") from error
        if optimizer is not None:
            optimizer.load_state_dict(optimizer_state)
        if seed is not None:
            seed.setstate(random_state)
    return history


def load_model(path: _PathLike) -> Any:
    """Build the model that a file describes, with its parameters.

    Works for the models of ``tinygrad_edu.nn`` with activations of the table and no feature map but
    ``Polynomial``. A model with code of your own is built by yourself and filled by ``load``.

    Raises:
        ValueError: If the file is truncated, damaged, foreign or of another version, or if it does
            not say how to build its model.
        OSError: If there is no such file or it cannot be read.
        ImportError: If safetensors or numpy is not installed.

    >>> import tempfile
    >>> from tinygrad_edu.nn import Neuron
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(folder + "/neuron.safetensors", Neuron(2, initialization="zeros"))
    ...     load_model(folder + "/neuron.safetensors").state_dict()
    {'w': [0.0, 0.0], 'b': 0.0}
    """
    header, tensors = _unpacked(path)
    state = {n[6:]: held for n, held in tensors.items() if n.startswith("model.")}
    if "nin" not in header["model"]:
        raise ValueError(
            f"{path}: does not say how to build its model, {in_words(header['model'])}: "
            "build it yourself and hand it to load(path, model)"
        )
    try:
        numbers = sum(len(held) if isinstance(held, list) else 1 for held in state.values())
        model = build(header["model"], numbers)
        model.load_state_dict(state)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        _damaged(path, f"the model cannot be built: {error}", error)
    return model


def checkpoint(
    path: _PathLike,
    *,
    optimizer: Optimizer | None = None,
    seed: random.Random | None = None,
    every: int = 1,
) -> Callable[[Any, History], None]:
    """Return a callback for ``fit`` that saves the training after every so many epochs.

    After a crash, ``load`` the file and call ``fit`` with the same optimizer, random source and
    history for the epochs that are missing: the result is that of a training without the crash.

    Args:
        path: The file, overwritten (all or nothing) each time.
        optimizer, seed: Those that ``fit`` is given.
        every: How many epochs from one saving to the next.

    Raises:
        ValueError: If ``every`` is no whole number from 1.

    >>> import tempfile
    >>> from tinygrad_edu.nn import LinearRegression, squared_error
    >>> from tinygrad_edu.training import fit
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = folder + "/line.safetensors"
    ...     line = LinearRegression(1)
    ...     history = fit(line, [0.0, 1.0], [1.0, 3.0], loss=squared_error, epochs=5,
    ...                   callbacks=[checkpoint(path, every=2)])
    ...     load(path, line).epochs
    4
    """
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise ValueError(f"every: expected a whole number from 1, got {every!r}")

    def saver(model: Any, history: History) -> None:
        if len(history) % every == 0:
            save(path, model, optimizer=optimizer, history=history, seed=seed)

    return saver


# --- the file: a header and tensors, with a checksum over both ---


def _packed(header: dict[str, Any], tensors: Mapping[str, Any]) -> bytes:
    numpy, safetensors = _libraries()
    arrays = {name: numpy.array(held, dtype=numpy.float64) for name, held in tensors.items()}
    header = {**header, "sha256": _checksum(header, arrays)}
    # One entry alone: safetensors writes several in an order that differs from run to run.
    content: bytes = safetensors.numpy.save(arrays, metadata={_KEY: json.dumps(header)})
    return content


def _unpacked(path: _PathLike) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and tensors (as nested lists) of a file that is certainly one of ours."""
    numpy, safetensors = _libraries()
    content = Path(path).read_bytes()
    try:
        arrays = safetensors.numpy.load(content)
        # safetensors has checked the frame: 8 bytes of length, then a header in JSON.
        length = int.from_bytes(content[:8], "little")
        found = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        _damaged(path, f"it is no complete safetensors file ({error})", error)
    if _KEY not in found:
        raise ValueError(f"{path}: a safetensors file, but not one written by tinygrad_edu")
    try:
        header = json.loads(found[_KEY])
    except (ValueError, RecursionError) as error:
        _damaged(path, "its header is not JSON", error)
    if not isinstance(header, dict) or not isinstance(header.get("model", {}), dict):
        _damaged(path, "its header holds no entries")
    if header.get("format") != FORMAT:
        raise ValueError(
            f"{path}: expected format {FORMAT}, got {header.get('format')!r:.40}: the file was "
            "written by another version of tinygrad_edu"
        )
    checksum = header.pop("sha256", None)
    if any(array.dtype != numpy.float64 for array in arrays.values()) or checksum != _checksum(
        header, arrays
    ):
        _damaged(path, "its content does not match its checksum")
    if "model" not in header:
        _damaged(path, "its header names no model")
    try:
        check(header["model"])
    except ValueError as error:
        _damaged(path, f"the model cannot be built: {error}", error)
    return header, {name: array.tolist() for name, array in arrays.items()}


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {list(arrays[name].shape)} ".encode())
        digest.update(arrays[name].astype("<f8").tobytes())
    return digest.hexdigest()


def _libraries() -> tuple[Any, Any]:
    try:
        import numpy
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            'saving and loading need safetensors and numpy: pip install "tinygrad_edu[io]"'
        ) from error
    return numpy, safetensors


# --- the parts of a training ---


def _split(history: History) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what of a history goes into the header, and its columns of numbers as tensors."""
    plain, columns = history.to_dict(), {}
    for name, held in list(plain.items()):
        if name == "snapshots":
            plain[name] = [epoch for epoch, _ in held]
            columns["history.snapshots"] = [numbers for _, numbers in held]
        elif isinstance(held, list):
            columns[f"history.{name}"] = [to_float(x, f"history: {name}") for x in plain.pop(name)]
    return plain, columns


def _joined(
    path: _PathLike, header: Mapping[str, Any], tensors: Mapping[str, Any]
) -> History | None:
    if "history" not in header:
        return None
    columns = {n[8:]: held for n, held in tensors.items() if n.startswith("history.")}
    try:
        snapshots = list(zip(header["history"]["snapshots"], columns.pop("snapshots")))
        return History.from_dict({**header["history"], **columns, "snapshots": snapshots})
    except (ValueError, TypeError, KeyError) as error:
        _damaged(path, f"its history cannot be read: {error}", error)


def _optimizer_state(
    path: _PathLike,
    header: Mapping[str, Any],
    tensors: Mapping[str, Any],
    model: Module,
    optimizer: Optimizer,
) -> dict[str, Any]:
    if "optimizer" not in header:
        raise ValueError(f"{path}: holds no optimizer; it was saved without one")
    if not isinstance(header["optimizer"], dict):
        _damaged(path, "its optimizer has no entries")
    state = {**header["optimizer"], "state": tensors.get("optimizer.state")}
    try:
        for name in ("steps", "epochs"):
            if not isinstance(state.get(name), int) or isinstance(state[name], bool):
                raise ValueError(f"{name}: expected a count, got {state.get(name)!r:.60}")
        copy(optimizer).load_state_dict(state)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: does not fit into {optimizer!r}: {error}") from error
    if state["state"] and len(state["state"]) != len(model.parameters()):
        _damaged(path, "its optimizer belongs to a model with other parameters")
    return state


def _random_state(source: random.Random) -> list[Any]:
    _check(source, random.Random, "seed", "a random.Random (a number is spent once fit has begun)")
    try:
        version, numbers, gauss = source.getstate()
    except NotImplementedError as error:
        raise TypeError(f"seed: {type(source).__name__} has no state to save") from error
    return [version, list(numbers), gauss]


def _saved_random(path: _PathLike, header: Mapping[str, Any], seed: random.Random) -> Any:
    _check(seed, random.Random, "seed", "a random.Random")
    if "random" not in header:
        raise ValueError(f"{path}: holds no random source; it was saved without seed=")
    try:
        version, numbers, gauss = header["random"]
        state = (version, tuple(numbers), gauss)
        random.Random(0).setstate(state)
    except (ValueError, TypeError, OverflowError) as error:
        _damaged(path, f"its random source cannot be read: {error}", error)
    return state


def _check(value: Any, kind: type, name: str, wanted: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected {wanted}, got {type(value).__name__} {value!r:.60}")


def _damaged(path: _PathLike, reason: str, error: Exception | None = None) -> NoReturn:
    raise ValueError(f"{path}: damaged, or not a file of tinygrad_edu: {reason}") from error
