"""`lab train | eval | profiles`: train a model, measure a checkpoint, show the named schedules."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from lab.cli import terminal


def register(commands: Any) -> None:
    """Add the verbs of this group."""
    train = terminal.verb(
        commands,
        "train",
        train_,
        help="train a recipe into a folder: checkpoint, log, payload; run again to go on after a stop",
        example="lab train filtered/quickstart --contract minidrive -o trained",
    )
    train.add_argument("recipe", help="family/slug, or a .toml file")
    train.add_argument("--contract", default="minidrive")
    train.add_argument("-o", "--out", type=Path, required=True, help="folder of the run; a checkpoint in it is resumed")
    train.add_argument(
        "--device",
        default="cpu",
        choices=("cpu", "cuda", "mps"),
        help="where the post-filter trains; what mps gives is advisory",
    )
    evaluate = terminal.verb(
        commands,
        "eval",
        eval_,
        help="measure the best candidate of a checkpoint, decoded; advisory, only `lab run` records",
        example="lab eval trained/checkpoint.safetensors",
        json_output=True,
    )
    evaluate.add_argument("checkpoint", type=Path)
    profiles = terminal.verb(
        commands,
        "profiles",
        profiles_,
        help="named training schedules and where their values are from",
        example="lab profiles shiraz",
        json_output=True,
    )
    profiles.add_argument("name", nargs="?", help="one profile in full: its table and the source of every value")


def train_(options: argparse.Namespace) -> None:
    """Train a recipe; everything that it leaves lies in one folder."""
    from lab import codecs, contract, recipe
    from lab.codecs.base import SourceClip
    from lab.errors import RecipeError
    from lab.evaluator.compute import calm_torch
    from lab.training import compute

    calm_torch()
    compute.device(options.device)
    under = contract.load(options.contract, options.ledgers)
    asked = recipe.load(options.recipe)
    codec = codecs.get(asked.family)
    if not hasattr(codec, "restore"):
        raise RecipeError(f"recipe {asked.name!r}", expected="a family that is trained", found=asked.family)
    codec.check(asked)
    show_schedule(asked)
    options.out.mkdir(parents=True, exist_ok=True)
    with terminal.progress() as monitor:
        source = SourceClip(contract=under, cache=options.cache, work=options.out, device=options.device)
        stream = codec.encode(source, asked, monitor)
    (options.out / "payload.bin").write_bytes(stream.payload)
    shutil.rmtree(options.out / "inner", ignore_errors=True)
    terminal.say(f"{options.out}: payload.bin {len(stream.payload):,} bytes")
    if options.device in compute.ADVISORY:
        terminal.say(f"trained on {options.device}: advisory, no rule promotes it")
    terminal.say(f"next: lab eval {options.out / 'checkpoint.safetensors'}")


def show_schedule(asked: Any) -> None:
    """The stages of a recipe as one table, before anything is trained."""
    from lab.training import profiles, schedule

    name, steps = asked.params.get("profile"), int(asked.params.get("steps", 0))
    found = profiles.get(name).schedule(steps) if name else schedule.stages(asked.stages, f"recipe {asked.name!r}")
    terminal.say(schedule.table(found))


def eval_(options: argparse.Namespace) -> None:
    """Rebuild the payload of a checkpoint, decode it, and measure it with the contract's own evaluator."""
    from lab import codecs, contract, recipe
    from lab.codecs.base import SourceClip
    from lab.errors import TrainingError
    from lab.evaluator import measure
    from lab.evaluator.compute import calm_torch
    from lab.training import checkpoints

    calm_torch()
    _, state = checkpoints.load(options.checkpoint)
    known = state.get("identity", {}).get("extra", {})
    if not {"recipe", "text", "contract"} <= set(known):
        raise TrainingError(
            f"checkpoint {options.checkpoint.name}", expected="the recipe that it was trained by", found="none"
        )
    under = contract.load(known["contract"], options.ledgers)
    asked = recipe.parse(known["text"], known["recipe"])
    codec: Any = codecs.get(asked.family)
    with terminal.progress() as monitor:
        source = SourceClip(contract=under, cache=options.cache, work=options.checkpoint.parent / "eval")
        stream = codec.restore(source, asked, options.checkpoint, monitor)
        evaluator = measure.Evaluator(under, axis="cpu", cache=options.cache)
        decoded = evaluator.answers(codec.decode(stream.payload), monitor, "networks on the decode")
        found = measure.compare(evaluator.reference(monitor), decoded)
    shutil.rmtree(options.checkpoint.parent / "eval", ignore_errors=True)
    score = under.score(segnet=found.segnet, posenet=found.posenet, archive_bytes=len(stream.payload))
    row = {
        "recipe": asked.name,
        "step": state["done_steps"],
        "device": known.get("device", "cpu"),
        "segnet": found.segnet,
        "posenet": found.posenet,
        "payload_bytes": len(stream.payload),
        "score": score.total,
    }
    terminal.show([row], list(row), as_json=options.json, title="advisory: not measured from a packet")


def profiles_(options: argparse.Namespace) -> None:
    """The profiles as rows, or one in full."""
    from lab.training import profiles, schedule

    if options.name:
        profile = profiles.get(options.name)
        if options.json:
            rows = [{"value": value, "source": source} for value, source in profile.sources]
            terminal.show(rows, ["value", "source"], as_json=True)
            return
        terminal.say(f"{profile.name}: {profile.title}")
        terminal.say(schedule.table(profile.stages))
        terminal.show(
            [{"value": value, "source": source} for value, source in profile.sources],
            ["value", "source"],
            as_json=False,
            title="where the values are from",
        )
        return
    table: list[dict[str, Any]] = [
        {
            "profile": profile.name,
            "title": profile.title,
            "architecture": profile.architecture,
            "hidden": profile.hidden,
            "scheme": profile.scheme,
            "stages": len(profile.stages),
            "steps": sum(stage.steps for stage in profile.stages),
            "promotable": "yes" if profile.promotable else "no",
        }
        for profile in profiles.PROFILES.values()
    ]
    columns = ["profile", "architecture", "hidden", "scheme", "stages", "steps", "promotable", "title"]
    terminal.show(table, columns, as_json=options.json)
