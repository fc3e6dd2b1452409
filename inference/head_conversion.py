"""From a published model's files to a head file."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from model.face.assets import HeadAssets, load_head, save_head
from model.face.completion import completed
from model.face.readers.kinds import SourceFiles, read_kind

_TOGETHER = ("Plus", "Minus", "Left", "Right")


def convert(
    kind: str,
    files: SourceFiles,
    output: Path,
    reference: Path,
    identity_count: int | None = None,
    expression_count: int | None = None,
) -> Iterator[str]:
    """Read a published model, complete it, write the head file.

    Args:
        kind: One of `model.face.readers.kinds.KINDS`.
        files: The model's files.
        output: The head file.
        reference: The head that lends what is lacking.
        identity_count: Keep the so many identity components that move the head most, in their order; None for all.
        expression_count: The same of expressions.

    Yields:
        Lines that tell what was read, what is lent, and what was written.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is not what it should be, or a count is none; the message says which.
    """
    for name, count in (("identity-count", identity_count), ("expression-count", expression_count)):
        if count is not None and count < 1:
            raise ValueError(f"--{name} {count}: expected at least 1")
    foreign = read_kind(kind, files)
    yield f"{files.model}: {_told(foreign.assets)}"
    head, notes = completed(foreign, load_head(reference))
    yield from notes
    if identity_count is not None:
        kept = _strongest(head.identity_basis, np.arange(len(head.identity_basis)), identity_count)
        head = _fewer_identities(head, kept)
    if expression_count is not None:
        kept = _strongest(head.expression_basis, _groups(head.expression_names), expression_count)
        names = tuple(head.expression_names[row] for row in kept)
        head = replace(head, expression_basis=head.expression_basis[kept], expression_names=names)
    output.parent.mkdir(parents=True, exist_ok=True)
    save_head(head, output)
    yield f"{output}: {_told(head)}, {output.stat().st_size / 2**20:.1f} MiB"


def _told(head: HeadAssets) -> str:
    return (
        f"{len(head.vertices_mm)} vertices, {len(head.faces)} triangles, {len(head.identity_basis)} identity "
        f"components, {len(head.expression_basis)} expressions, {len(head.albedo_basis)} albedo components"
    )


def _groups(names: tuple[str, ...]) -> np.ndarray:
    """A number for each blendshape; two directions of a component and two sides have the same, and stay together."""
    stems = [next((name.removesuffix(end) for end in _TOGETHER if name.endswith(end)), name) for name in names]
    order = {stem: number for number, stem in enumerate(dict.fromkeys(stems))}
    return np.array([order[stem] for stem in stems])


def _strongest(basis: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    power = np.zeros(group.max(initial=-1) + 1)
    np.maximum.at(power, group, np.square(basis, dtype=np.float32).sum((1, 2)))
    # A pair counts once.
    return np.flatnonzero(np.isin(group, np.argsort(-power, kind="stable")[:count]))


def _fewer_identities(head: HeadAssets, kept: np.ndarray) -> HeadAssets:
    skinning, center = head.skinning, head.identity_center
    if skinning is not None:
        skinning = replace(skinning, identity_basis=skinning.identity_basis[kept])
    center = None if center is None else center[kept]
    return replace(head, identity_basis=head.identity_basis[kept], identity_center=center, skinning=skinning)
