"""The verdicts on survivors, which are kept from run to run, and the page that shows a run's result."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from population import Mutant

HEADER = """\
# What was found out about each mutant that survived. `python tools/mutation` adds those that are new, with an empty
# verdict; fill in verdict and reason. "equivalent": behaviour is the same (speed, the order of a sum, wording).
# "missed": behaviour differs and nothing notices; the reason says what it would take. Without a verdict: missed.
"""


@dataclass
class Outcome:
    """What became of a mutant."""

    mutant: Mutant
    is_op: bool  # whether it lies in code that an op is made of, so that the kit can find it
    kit: str = ""  # the kit's first failure, "" if it survived
    tests: str = ""  # the first test that failed
    ops: int = 0  # how many ops execute its lines

    @property
    def killed(self) -> bool:
        return bool(self.kit or self.tests)


def read_verdicts(path: Path) -> dict[str, dict[str, str]]:
    """The verdicts by the keys of the mutants."""
    return {v["key"]: v for v in tomllib.loads(path.read_text("utf-8")).get("mutant", [])} if path.exists() else {}


def write_verdicts(path: Path, verdicts: dict[str, dict[str, str]], outcomes: Iterable[Outcome]) -> None:
    """Add the survivors of this run; drop those that were never judged and are gone or dead now."""
    kept = {key: v for key, v in verdicts.items() if v["verdict"]}
    for outcome in outcomes:
        mutant = outcome.mutant
        if not outcome.kit and mutant.key not in kept and (outcome.is_op or not outcome.tests):
            kept[mutant.key] = dict(key=mutant.key, verdict="", reason="")
        if mutant.key in kept:
            kept[mutant.key] |= dict(path=mutant.path, scope=mutant.scope, old=mutant.old, new=mutant.new)
    fields = ("key", "path", "scope", "old", "new", "verdict", "reason")
    blocks = [
        "[[mutant]]\n" + "".join(f"{name} = {json.dumps(v[name], ensure_ascii=False)}\n" for name in fields)
        for v in sorted(kept.values(), key=lambda v: (v["path"], v["scope"], v["old"], v["key"]))
    ]
    path.write_text("\n".join([HEADER, *blocks]), "utf-8")


def share(outcomes: Sequence[Outcome], verdicts: dict[str, dict[str, str]], kit_alone: bool) -> tuple[int, int, int]:
    """How many were killed, how many of the survivors are equivalent, and how many there are."""
    dead = [bool(o.kit) if kit_alone else o.killed for o in outcomes]
    same = [not d and verdict_of(o, verdicts) == "equivalent" for d, o in zip(dead, outcomes, strict=True)]
    return sum(dead), sum(same), len(outcomes)


def verdict_of(outcome: Outcome, verdicts: dict[str, dict[str, str]]) -> str:
    """What was found out about a survivor: "equivalent", "missed", or "" so far."""
    return verdicts.get(outcome.mutant.key, {}).get("verdict", "")


def line(title: str, counts: tuple[int, int, int]) -> str:
    """A row of the table of scores."""
    killed, equivalent, total = counts
    real = total - equivalent
    score = f"{100 * killed / real:.1f} %" if real else "-"
    return f"| {title} | {total} | {killed} | {equivalent} | {real - killed} | {score} |"


def page(outcomes: Sequence[Outcome], verdicts: dict[str, dict[str, str]], about: dict[str, object]) -> str:
    """The result of a run in Markdown."""
    ops = [o for o in outcomes if o.is_op]
    plain = [o for o in outcomes if not o.is_op]
    rows = [
        line("code of ops and kernels, by the kit alone", share(ops, verdicts, kit_alone=True)),
        line("the same, by the kit and then the tests", share(ops, verdicts, kit_alone=False)),
        line("functions that are no ops, by the tests", share(plain, verdicts, kit_alone=False)),
    ]
    text = [Path(__file__).with_name("page.md").read_text("utf-8").format(**about, rows="\n".join(rows))]
    text.append(_by_file(ops, verdicts))
    groups = {"equivalent": [], "missed": [], "": []}  # type: ignore[var-annotated]  # the loop fills it
    for outcome in outcomes:
        if not outcome.kit and (outcome.is_op or not outcome.tests):
            groups[verdict_of(outcome, verdicts)].append(outcome)
    titles = {
        "missed": "Survivors that change behaviour",
        "": "Survivors not judged yet (they count as missed)",
        "equivalent": "Survivors that are equivalent",
    }
    for verdict, title in titles.items():
        if groups[verdict]:
            text.append(f"\n## {title}\n")
            text += [
                _entry(o, verdicts) for o in sorted(groups[verdict], key=lambda o: (o.mutant.path, o.mutant.first))
            ]
    return "\n".join(text).rstrip() + "\n"


def _by_file(outcomes: Sequence[Outcome], verdicts: dict[str, dict[str, str]]) -> str:
    total = Counter(o.mutant.path for o in outcomes)
    alive = Counter(o.mutant.path for o in outcomes if not o.kit and verdict_of(o, verdicts) != "equivalent")
    same = Counter(o.mutant.path for o in outcomes if not o.kit and verdict_of(o, verdicts) == "equivalent")
    rows = [f"| {p.removeprefix('tinygrad_cnn/')} | {total[p]} | {same[p]} | {alive[p]} |" for p in sorted(total)]
    head = "## By file, the kit alone\n\n| file | tried | equivalent | missed |\n|---|---|---|---|\n"
    return head + "\n".join(rows)


def _entry(outcome: Outcome, verdicts: dict[str, dict[str, str]]) -> str:
    mutant = outcome.mutant
    diff = [f"- {text}" for text in mutant.old.splitlines()] + [f"+ {text}" for text in mutant.new.splitlines()]
    reason = verdicts.get(mutant.key, {}).get("reason", "")
    notes = [reason] if reason else []
    if outcome.is_op and not outcome.ops:
        notes.append("No op's samples execute its function.")
    if outcome.tests:
        notes.append(f"Killed by `{outcome.tests}`.")
    title = f"`{mutant.path.removeprefix('tinygrad_cnn/')}:{mutant.first}`" + (
        f" in `{mutant.scope}`" if mutant.scope else ""
    )
    return f"{title}: {' '.join(notes)}\n\n```diff\n" + "\n".join(diff) + "\n```\n"
