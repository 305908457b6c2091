"""The tables of the GPU run, with paired intervals over recordings.

    python examples/nmnist/gpu_tables.py RESULTS

prints them from the `results.json` and `predictions.json` of a run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.recordings.measures import wilson_interval
from speckflex.training.gain import paired_gain

if TYPE_CHECKING:
    from collections.abc import Iterable

METHODS = ("sdt", "nmt", "mtt")


def tables(about: dict[str, Any], results: dict[str, dict[str, Any]]) -> str:
    """Return the results in Markdown.

    Args:
        about: the machine and the size of the run.
        results: job name to what it wrote, predictions included.
    """
    seconds = ", ".join(f"{key} {value}" for key, value in about.items())
    parts = [
        f"{seconds}\n",
        "## The twin on the GPU\n",
        *twin_lines(results.get("twin", {})),
        "\n## The paper's recipe: simulated recordings train, all real ones judge\n",
        *paper_lines(results),
        "\n## The board in the loop: simulated recordings train, all real ones judge\n",
        *board_lines(results),
        "\n## Other orders of output, changed input: accuracy on the twin\n",
        *varied_lines(results),
        "\n## With real recordings in training, judged on real ones kept apart\n",
        *real_lines(results),
        "\n## Jobs\n",
        *job_lines(results),
    ]
    return "\n".join(parts) + "\n"


def twin_lines(result: dict[str, Any]) -> list[str]:
    """Return what the comparison found."""
    same = result.get("random_programs_same")
    lines = [
        f"- random programs with equal spikes, counts and potentials: {same}",
        f"- random programs that differ: {result.get('random_programs_different')}",
        f"- 3C1FC on real recordings equal: {result.get('network_same')}",
        f"- the training's neurons send equal spikes: {result.get('neurons_same')}",
        f"- largest difference of a gradient: {result.get('largest_difference_of_gradients')}",
    ]
    synops = result.get("synops_per_recording", float("nan"))
    for name, speed in result.get("recordings_per_second", {}).items():
        lines.append(f"- {name}: {speed:.0f} recordings/s, {speed * synops / 1e6:.0f} M SynOps/s")
    return lines


def paper_lines(results: dict[str, dict[str, Any]]) -> list[str]:
    """Return one line for each row and seed, and the paired differences to SDT."""
    at = ("2", "5", "10", "20", "50")
    names = [f"T = {bins}" for bins in at]
    columns = ("method", "seed", "epochs", *names, "twin", "gap, points", "SD")
    lines = table_head(columns)
    for name, result in chosen(results, "paper-"):
        _, method, seed = name.split("-")
        torch = result.get("torch", {})
        twin, before = result.get("twin"), result.get("twin_torch")
        gap = None if twin is None or before is None else 100 * (twin - before)
        steps = [percent(torch.get(bins)) for bins in at]
        epochs = str(len(result.get("training", [])))
        cells = [method, seed, epochs, *steps, interval(result, "twin")]
        lines.append(row([*cells, number(gap), percent(result.get("spike_difference"))]))
    for method in METHODS[1:]:
        pairs = [
            (right(results[f"paper-sdt-{seed}"], "twin"), right(result, "twin"))
            for seed, result in by_seed(results, f"paper-{method}-")
            if "twin_predictions" in results.get(f"paper-sdt-{seed}", {})
        ]
        lines += gain_line(f"twin, {method} over sdt", pairs)
    return lines


def board_lines(results: dict[str, dict[str, Any]]) -> list[str]:
    """Return one line for each seed, and the paired gain over base and the best torch."""
    lines = table_head(
        ("seed, vary", "epochs", "recordings", "base: twin", "base: torch", "twin", "torch", "won")
    )
    for seed, result in [*by_seed(results, "board-"), *by_seed(results, "vary-")]:
        epochs = f"{len(result.get('base', []))} + {len(result.get('training', []))}"
        vary = result.get("training_settings", {}).get("vary", "")
        recordings = str(result.get("training_recordings", ""))
        cells = [f"{seed} {vary}", epochs, recordings, interval(result, "before")]
        cells += [percent(result.get("before_torch")), interval(result, "twin")]
        cells += [percent(result.get("twin_torch"))]
        pairs = [(right(result, "before"), right(result, "twin"))] if "twin" in result else []
        won = gain_line("", pairs)
        lines.append(row([*cells, won[0].removeprefix("- : ") if won else ""]))
    done = [result for _, result in by_seed(results, "board-") if "twin" in result]
    lines += gain_line(
        "all seeds, twin after over before",
        [(right(each, "before"), right(each, "twin")) for each in done],
    )
    torch = [r.get("twin_torch", 0) for n, r in results.items() if n.startswith("paper-")]
    torch += [each["before_torch"] for each in done]
    if done and torch:
        mean = float(np.mean([each["twin"] for each in done]))
        lines.append(
            f"- mean on the twin {mean:.1%}; best torch accuracy at T = 10 of any network that was"
            f" trained in torch, on the same recordings {max(torch):.1%}"
        )
    for seed, result in by_seed(results, "board-"):
        accuracies = [percent(each.get("board_accuracy")) for each in result.get("training", [])]
        lines.append(f"- seed {seed}, twin after each epoch: {', '.join(accuracies)}")
    return lines


def varied_lines(results: dict[str, dict[str, Any]]) -> list[str]:
    """Return one line for each network before and after the board's training."""
    lines = []
    for name, result in sorted(results.items()):
        for stage in ("before", "twin"):
            found = result.get(f"{stage}_varied", {})
            words = ", ".join(f"{kind} {percent(share)}" for kind, share in found.items())
            if words:
                lines.append(f"- {name}, {'base' if stage == 'before' else 'trained'}: {words}")
    return lines


def real_lines(results: dict[str, dict[str, Any]]) -> list[str]:
    """Return one line for each seed: its folds together judge each recording once."""
    lines = table_head(("seed", "folds", "judged", "twin before", "twin", "torch", "won"))
    everything = []
    seeds = sorted({name.split("-")[1] for name, _ in chosen(results, "real-")})
    for seed in seeds:
        folds = [r for n, r in chosen(results, f"real-{seed}-") if "twin_predictions" in r]
        if not folds:
            continue
        before = np.concatenate([right(each, "before") for each in folds])
        after = np.concatenate([right(each, "twin") for each in folds])
        everything.append((before, after))
        torch = np.average(
            [each["twin_torch"] for each in folds], weights=[len(f["labels"]) for f in folds]
        )
        won = gain_line("", [(before, after)])[0].removeprefix("- : ")
        cells = [seed, str(len(folds)), str(len(after)), with_interval(before)]
        lines.append(row([*cells, with_interval(after), percent(float(torch)), won]))
    whole = max((len(before) for before, _ in everything), default=0)
    same = [pair for pair in everything if len(pair[0]) == whole]
    return [*lines, *gain_line("all seeds", same)]


def job_lines(results: dict[str, dict[str, Any]]) -> list[str]:
    """Return how each job ended."""
    lines = []
    for name, result in sorted(results.items()):
        state = "done" if result.get("done") else "not done"
        if "failed" in result:
            state = f"failed: {result['failed'].strip().splitlines()[-1]}"
        same = result.get("same_on_gpu")
        gpu = "" if same is None else f"; counts on the GPU's twin equal: {same}"
        device = result.get("training_device", "")
        lines.append(f"- {name}: {state}, {result.get('seconds', '?')} s {device}{gpu}")
    return lines


def chosen(results: dict[str, dict[str, Any]], prefix: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """Return the jobs of a kind, by name."""
    return sorted((n, r) for n, r in results.items() if n.startswith(prefix))


def by_seed(
    results: dict[str, dict[str, Any]], prefix: str
) -> Iterable[tuple[str, dict[str, Any]]]:
    """Return seed and result of the jobs of a kind that have judged."""
    for name, result in chosen(results, prefix):
        if f"{'twin' if prefix.startswith('paper') else 'before'}_predictions" in result:
            yield name.removeprefix(prefix), result


def right(result: dict[str, Any], name: str) -> np.ndarray:
    """Return (recording,) bool: what was classified right."""
    return np.array(result[f"{name}_predictions"]) == np.array(result["labels"])


def gain_line(name: str, pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[str]:
    """Return what was won on the same recordings; nothing without pairs.

    For one pair with McNemar's exact test. Several pairs are seeds on the same recordings: the
    interval is that of each recording's mean over the seeds, for these seeds.
    """
    if not pairs:
        return []
    before, after = (np.array(part, float) for part in zip(*pairs, strict=True))
    if len(pairs) == 1:
        gain = paired_gain(before[0] > 0, after[0] > 0)
        (low, high), test = gain.interval, f"p = {gain.p_value:.1g}, "
    else:
        won = (after - before).mean(axis=0)
        reach = 1.96 * won.std(ddof=1) / np.sqrt(len(won))
        low, high, test = won.mean() - reach, won.mean() + reach, ""
    points = 100 * (after - before).mean()
    count = f"{len(before[0])} recordings" + (f", {len(pairs)} seeds" if len(pairs) > 1 else "")
    return [f"- {name}: {points:+.1f} ({100 * low:+.1f} to {100 * high:+.1f}, {test}{count})"]


def interval(result: dict[str, Any], name: str) -> str:
    """Return an accuracy with its interval, or nothing."""
    return with_interval(right(result, name)) if f"{name}_predictions" in result else ""


def with_interval(hits: np.ndarray) -> str:
    """Return the share that is right, with its 95 % Wilson interval."""
    low, high = wilson_interval(int(hits.sum()), len(hits))
    return f"{hits.mean():.1%} ({low:.1%} to {high:.1%})"


def percent(share: float | None) -> str:
    """Return a share in per cent; nothing for None."""
    return "" if share is None else f"{share:.1%}"


def number(value: float | None) -> str:
    """Return a signed number; nothing for None."""
    return "" if value is None else f"{value:+.1f}"


def table_head(columns: tuple[str, ...]) -> list[str]:
    """Return the first two lines of a table."""
    return [row(columns), "|---" * len(columns) + "|"]


def row(cells: Iterable[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    content = json.loads((folder / "results.json").read_text())
    answers = json.loads((folder / "predictions.json").read_text())
    jobs = {name: {**result, **answers[name]} for name, result in content["jobs"].items()}
    print(tables(content["about"], jobs), end="")
