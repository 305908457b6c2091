"""The figures of a report.json, computed anew with numpy and h5py from the files beside it.

This script imports nothing of the package: it reads the formats as `docs/formats.md` describes
them, and plays the program itself where no recording is kept. Each value of the report is either
held against one by hand or named, with the reason, in `NOT_BY_HAND`. The script knows programs of
two cores in a chain. It also runs by itself: `python tests/support/by_hand.py DIR EVENTS.npz`.
"""

import json
import math
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from by_hand_files import Played, cosine, difference, read_program, share_right
from by_hand_order import first_divergence, reordered
from by_hand_told import Figures, named, plain, told
from by_hand_twin import Plays
from by_hand_work import check_energy, check_latency, check_load, check_rate, check_work

# The tables of the data sheet and of sinabs: words of a core's kernels and neurons.
KERNEL_WORDS = [1024 * n for n in (16, 16, 16, 32, 32, 64, 64, 16, 16)]
NEURON_WORDS = [1024 * n for n in (64, 64, 64, 32, 32, 16, 16, 16, 16)]

# The rules of findings, each with what it warns beyond.
LIMITS = {"8-bit error": 0.05, "lost weights": 0.25, "threshold error": 0.01}
LIMITS |= {"folding": None, "pooling edge": None, "strong weights": None}
LIMITS |= {"weight range": 127, "dead channels": 0}

STEPS = {"trained": "torch", "folded": "folded", "eight-bit": "eight-bit", "twin": "twin"}
STEPS["chip"] = "chip"


def check(folder, inputs, exact=None, folded=None):
    """Compare every figure of `folder`/report.json with its files; return how many there were.

    Args:
        folder: what `speckflex deploy --out` wrote.
        inputs: one structured array of t, x, y, p a sample, no two events at one time.
        exact: (weights, threshold) of each layer before rounding, the weights in the shape of the
            core's, by name; None to leave the findings of the conversion out.
        folded: (gain, dropped constant) of each channel, in the order of the layers that were
            folded; None where nothing was.

    Raises:
        AssertionError: a figure is not the one by hand, or is neither computed nor named in
            `NOT_BY_HAND`.
    """
    folder = Path(folder)
    read = set()
    report = told(json.loads((folder / "report.json").read_text(encoding="utf-8")), "", read)
    everything = set(read)
    read.clear()
    played = {
        path.stem.removeprefix("recording-"): Played(path)
        for path in sorted(folder.glob("recording-*.h5"))
    }
    program, about = read_program(folder / "program.speck")
    figures = Figures()
    _check_program(figures, report, program, about)
    compared = {role: one for role, one in played.items() if role in ("torch", "twin", "chip")}
    labels = next((one.labels for one in played.values() if one.labels is not None), None)
    _check_accuracy(figures, report, compared, labels)
    _check_ladder(figures, report, played, labels)
    _check_layers(figures, report, compared, program, played.get("repeat"))
    _check_memory(figures, report, program)
    _check_losses(figures, report, played)
    plays = Plays(program, inputs)
    check_work(figures, report, played, plays)
    _check_samples(figures, report, compared, labels)
    _check_pairs(figures, report, compared, labels)
    check_load(figures, report, played, program, inputs)
    check_rate(figures, report, labels, plays)
    check_latency(figures, report, played, plays)
    check_energy(figures, report, compared, inputs)
    _check_origins(figures, report, played, compared)
    _check_findings(figures, report, program, exact or {})
    if exact:
        _check_rules(figures, report, program)
    _check_folding(figures, report, program, folded)
    left = {path for path in everything - read if not named(path)}
    assert not left or exact is None, f"neither computed nor named: {sorted(left)}"
    return figures.count


def _check_program(figures, report, program, about):
    stated = report["program"]
    figures.same("sha256", stated["sha256"], about["sha256"])
    figures.same("chip", stated["chip"], program["chip"])
    figures.same("input", stated["input_shape"], program["input"]["shape"])
    figures.same("cores", stated["cores"], len(program["cores"]))
    metadata = {name: value for name, value in about["metadata"].items() if name != "run"}
    figures.same("metadata", stated["metadata"], metadata)


def _check_accuracy(figures, report, played, labels):
    board = played["chip" if "chip" in played else "twin"]
    figures.same("samples", report["samples"], len(board.counts[0]))
    figures.same(
        "lost", report["lost_events"], sum(int(p.logs["lost"].sum()) for p in played.values())
    )
    for role in ("torch", "twin", "chip"):
        own = share_right(played[role], labels) if role in played else None
        figures.same(f"accuracy of {role}", report["accuracy"][role], own)
        if role not in played:
            continue
        silent = sum(answer is None for answer in played[role].answers)
        figures.same(f"silent outputs of {role}", report["silent_outputs"][role], silent)
        if own is None:
            continue
        pairs = zip(labels.tolist(), played[role].answers, strict=True)
        counted = Counter((t, a) for t, a in pairs if t >= 0 and a is not None)
        for truth, row in enumerate(report["confusion"][role]):
            for answer, count in enumerate(row):
                figures.same(f"confusion {truth} {answer}", count, counted[truth, answer])
            n = int((labels == truth).sum())
            figures.same(
                f"accuracy of class {truth}",
                report["accuracy_per_class"][role][truth],
                counted[truth, truth] / n if n else None,
            )
        figures.interval(report["accuracy_interval"][role], own, int((labels >= 0).sum()))
    for name in ("accuracy_interval", "accuracy_per_class", "confusion"):
        if "chip" not in played or labels is None:
            figures.same(name, report[name]["chip"], None)


def _check_ladder(figures, report, played, labels):
    steps = [step for step, role in STEPS.items() if role in played]
    figures.same("steps", [rung["step"] for rung in report["ladder"]], steps)
    before = step_before = None
    for rung in report["ladder"]:
        own = played[STEPS[rung["step"]]]
        accuracy = share_right(own, labels)
        figures.same(f"ladder: {rung['step']}", rung["accuracy"], accuracy)
        figures.same("ladder: samples", rung["samples"], len(own.counts[0]))
        n = int((labels >= 0).sum())
        figures.same("ladder: labelled", rung["labelled"], n)
        figures.interval(rung["accuracy_interval"], accuracy, n)
        figures.same("ladder: unanswered", rung["unanswered"], own.answers.count(None))
        figures.same("ladder: layer", rung["layer"], own.manifest["layers"][own.output]["name"])
        figures.same("ladder: spikes", rung["spikes"], int(own.counts[own.output].sum()))
        expected = lost = wrong = right = reference = None
        if before is not None:
            output = own.output
            hardware = rung["step"] in ("twin", "chip")
            reference = rung["step"] if hardware else step_before
            pair = (own, before) if hardware else (before, own)
            expected = difference(*(one.counts[output] for one in pair))
            if accuracy is not None:
                lost = 100 * (share_right(before, labels) - accuracy)
                answers = list(zip(before.answers, own.answers, labels.tolist(), strict=True))
                wrong = sum(a == t != b for a, b, t in answers)
                right = sum(b == t != a for a, b, t in answers)
        figures.same("newly wrong", rung["newly_wrong"], wrong)
        figures.same("newly right", rung["newly_right"], right)
        figures.same("ladder: before", rung["before"], before and step_before)
        figures.same("ladder: reference", rung["reference"], reference)
        figures.same("ladder: difference", rung["spike_difference"], expected)
        figures.same("ladder: points", rung["points_lost"], lost)
        before, step_before = own, rung["step"]


def _check_layers(figures, report, played, program, repeat):
    board_role = "chip" if "chip" in played else "twin"
    board, torch = played[board_role], played.get("torch")
    figures.same("played", report["played"], board_role)
    silent = [
        core["name"]
        for core, counts in zip(program["cores"], board.counts, strict=True)
        if core["readout"] == "spikes" and not counts.any()
    ]
    figures.same("silent layers", report["silent_layers"], silent)
    for n, layer in enumerate(report["layers"]):
        own = board.counts[n]
        figures.same("index", layer["index"], n)
        figures.same("name", layer["name"], program["cores"][n]["name"])
        figures.same("spikes", layer["spikes"], int(own.sum()))
        by_role = {role: int(one.counts[n].sum()) for role, one in played.items()}
        figures.same("spikes by role", layer["spikes_by_role"], by_role)
        figures.same("silent neurons", layer["silent_neurons"], float((own.sum(0) == 0).mean()))
        floor = None if repeat is None else difference(own, repeat.counts[n])
        figures.same("noise floor", layer["noise_floor"], floor)
        if n == board.output:
            figures.same("noise floor", report["noise_floor"], floor)
        if torch is None:
            continue
        by_potential = board.potentials[n] is not None
        values = (
            (board.potentials[n], torch.potentials[n]) if by_potential else (own, torch.counts[n])
        )
        expected = None if by_potential else difference(own, torch.counts[n])
        figures.same("spike difference", layer["spike_difference"], expected)
        expected = None
        if by_potential:
            shares = np.abs(values[0] - values[1]).sum(), np.abs(values[0]).sum()
            expected = int(shares[0]) / int(shares[1])
        figures.same("potential difference", layer["potential_difference"], expected)
        figures.same("cosine", layer["cosine"], cosine(*values))
    if torch is not None:
        figures.same("reference", report["reference"], board_role)
        figures.same("compared", report["compared"], "torch")
        output = board.output
        name = program["cores"][output]["name"]
        figures.same("difference: layer", report["spike_difference_layer"], name)
        s, other = board.counts[output], torch.counts[output]
        figures.same("difference", report["spike_difference"], difference(s, other))
        ratio = int(other.sum()) / int(s.sum()) if s.any() else None
        figures.same("ratio", report["spike_ratio"], ratio)
        pairs = list(zip(board.answers, torch.answers, strict=True))
        agreed = sum(a == b is not None for a, b in pairs)
        figures.same("agreement", report["agreement"], agreed / len(pairs))


def _check_losses(figures, report, played):
    for role, stated in report["losses"].items():
        own, repeat = played[role], played.get("repeat")
        figures.same("known lost", stated["known"], int(own.logs["lost"].sum()))
        counted = Counter(
            (n, sample, *spike)
            for n, samples in enumerate(own.events)
            for sample, events in enumerate(samples)
            for spike in zip(*(events[name].tolist() for name in "txyp"), strict=True)
        )
        repeated = sum(count - 1 for count in counted.values())
        figures.same("repeated spikes", stated["repeated_spikes"], repeated)
        figures.same("repeated samples", stated["repeated_samples"], max(map(len, own.events)))
        if repeat is None or role != report["played"]:
            figures.same("no estimate", stated["estimate"], None)
            continue
        pairs = list(zip(own.counts, repeat.counts, strict=True))
        squares = sum(int(((a - b) ** 2).sum()) for a, b in pairs)
        total = sum(int((a + b).sum()) for a, b in pairs)
        share = squares / total
        figures.same("estimated share", stated["estimate"]["share"], share)
        # a play received a share 1 - p of what the board sent
        sent = total / 2 / (1 - share)
        figures.same("estimated spikes", stated["estimate"]["spikes"], share * sent)
        figures.same("estimate: samples", stated["estimate"]["samples"], len(own.counts[0]))


def _check_samples(figures, report, played, labels):
    board = played["chip" if "chip" in played else "twin"]
    figures.same("number of samples", len(report["per_sample"]), len(board.answers))
    for n, stated in enumerate(report["per_sample"]):
        label = None if labels is None or labels[n] < 0 else int(labels[n])
        figures.same("label", stated["label"], label)
        figures.same("sample", stated["sample"], n)
        answers = [one.answers[n] for one in played.values()]
        agree = None if len(answers) < 2 else answers[0] is not None and len(set(answers)) == 1
        figures.same("agree", stated["agree"], agree)
        figures.same("stopped", stated["stopped"], board.manifest["stopped"][n])
        for role in ("torch", "twin", "chip"):
            own = played[role].answers[n] if role in played else None
            figures.same(f"answer of {role}", stated[role], own)
            if role not in played:
                continue
            ranked = sorted(played[role].scores[n].tolist(), reverse=True)
            first, second = ranked[:2]
            figures.same("answer", stated["answers"][role]["answer"], own)
            figures.same("score", stated["answers"][role]["score"], first)
            figures.same("second", stated["answers"][role]["second"], second)
            margin = None if own is None else first - second
            figures.same(f"margin of {role}", stated["margins"][role], margin)
            total = None
            if played[role].potentials[-1] is None:
                total = int(played[role].scores[n].sum())
            figures.same(f"output spikes of {role}", stated["answers"][role]["total"], total)
        if "torch" in played:
            output = board.output
            pair = (board.counts[output][n], played["torch"].counts[output][n])
            expected = None if board.potentials[output] is not None else difference(*pair)
            figures.same("difference of a sample", stated["spike_difference"], expected)


def _check_memory(figures, report, program):
    """Hold words and weights against the datasheet's formulas (3.2.4.1) and the arrays."""
    for layer, core in zip(report["layers"], program["cores"], strict=True):
        weights = core["weights"]
        out, channels, ky, kx = weights.shape
        height, width = (
            (core["input_shape"][1 + axis] + 2 * core["padding"][axis] - kernel)
            // core["stride"][axis]
            + 1
            for axis, kernel in enumerate((ky, kx))
        )
        bits = [math.ceil(math.log2(n)) for n in (ky * kx, out, height, width)]
        figures.same("kernel memory", layer["kernel_memory"], channels * 2 ** (bits[0] + bits[1]))
        figures.same("neuron memory", layer["neuron_memory"], out * 2 ** (bits[2] + bits[3]))
        place = core["chip_core"]
        figures.same("core", layer["core"], place)
        figures.same("kernel limit", layer["kernel_limit"], KERNEL_WORDS[place])
        figures.same("neuron limit", layer["neuron_limit"], NEURON_WORDS[place])
        figures.same("repeatable", layer["repeatable"], place > 1)
        figures.same("input", layer["input_shape"], core["input_shape"])
        figures.same("output", layer["output_shape"], [out, height, width])
        figures.same("weights", layer["weights"], weights.size)
        for name in ("threshold_high", "threshold_low", "readout"):
            figures.same(name, layer[name], core[name])
        without = sum(not one.any() for one in weights)
        figures.same("without weights", layer["channels_without_weights"], without)
        start = core["initial_state"]
        for name, end in (("initial_low", np.min), ("initial_high", np.max)):
            figures.same(name, layer[name], 0 if start is None else int(end(start)))
        figures.same("zero weights", layer["weights_zero"], float((weights == 0).mean()))
        at_the_end = float(np.isin(weights, (-128, 127)).mean())
        figures.same("saturated weights", layer["weights_saturated"], at_the_end)
        strong = float((weights >= core["threshold_high"]).mean())
        figures.same("strong weights", layer["weights_above_threshold"], strong)


def _check_pairs(figures, report, played, labels):
    for pair in report["comparisons"]:
        a, b = played[pair["reference"]], played[pair["other"]]
        figures.same("pair: samples", pair["samples"], len(a.answers))
        both = zip(a.answers, b.answers, strict=True)
        agreed = sum(one == other is not None for one, other in both)
        figures.same("pair: agreement", pair["agreement"], agreed / len(a.answers))
        for name, own in (("reference", a), ("other", b)):
            stated = pair["accuracy"][name]
            share = share_right(own, labels)
            figures.same(f"pair: accuracy of {name}", stated and stated["share"], share)
            if stated is None:
                continue
            role = pair[name]
            # the same as at the top of the report, which is held against the answers
            for field, top in (
                ("interval", "accuracy_interval"),
                ("per_class", "accuracy_per_class"),
                ("confusion", "confusion"),
            ):
                figures.same(f"pair: {field}", stated[field], plain(report[top][role]))
            figures.same("pair: labelled", stated["samples"], int((labels >= 0).sum()))
        unlike = zip(a.manifest["input_sha256"], b.manifest["input_sha256"], strict=True)
        unlike = sum("" not in both and both[0] != both[1] for both in unlike)
        figures.same("pair: unlike inputs", pair["unlike_inputs"], unlike)
        parted = [first_divergence(a, b, n) for n in range(len(a.counts))]
        names = [one["name"] for one in a.manifest["layers"]]
        first = next((name for name, one in zip(names, parted, strict=True) if one), None)
        figures.same("pair: first", pair["first_divergent_layer"], first)
        for layer in pair["layers"]:
            n = layer["index"]
            found = parted[n]
            s, other = a.counts[n], b.counts[n]
            figures.same("pair: spikes", layer["spikes_reference"], int(s.sum()))
            figures.same("pair: spikes", layer["spikes_other"], int(other.sum()))
            ratio = int(other.sum()) / int(s.sum()) if s.any() else None
            figures.same("pair: ratio", layer["spike_ratio"], ratio)
            by_potential = a.potentials[n] is not None and b.potentials[n] is not None
            expected = None if by_potential else difference(s, other)
            figures.same("pair: difference", layer["spike_difference"], expected)
            expected = None
            if by_potential:
                v, other = np.abs(a.potentials[n]), np.abs(a.potentials[n] - b.potentials[n])
                expected = int(other.sum()) / int(v.sum())
            figures.same("pair: potentials", layer["potential_difference"], expected)
            name = a.manifest["layers"][n]["name"]
            figures.same("pair: name", layer["name"], name)
            values = (a.potentials[n], b.potentials[n]) if by_potential else (s, b.counts[n])
            figures.same("pair: cosine", layer["cosine"], cosine(*values))
            figures.same(f"pair: divergence of {name}", layer["first_divergence"], found)
            figures.same("pair: reordered", layer["reordered_samples"], reordered(a, b, n))
            if n == a.output:
                figures.same("pair: output", pair["spike_difference_layer"], layer["name"])
                stated = pair["spike_difference"]
                figures.same("pair: output", stated, layer["spike_difference"])


def _check_origins(figures, report, played, compared):
    """Hold what the report says of the recordings against what their files say of themselves."""
    for role, own in compared.items():
        origin = own.manifest["provenance"]
        stated = plain(report["provenance"][role])
        figures.same(f"origin of {role}", stated, origin)
        logs = report["played_samples"][role]
        figures.same("samples", logs["samples"], len(own.counts[0]))
        for name, values in own.logs.items():
            figures.same(name, logs[name], int(values.sum()))
        figures.same("stopped", logs["stopped"], dict(Counter(own.manifest["stopped"])))
    board = compared["chip" if "chip" in compared else "twin"].manifest["provenance"]
    figures.same("board", report["board"], board["board"])
    figures.same("kind", report["board_kind"], board["kind"])
    figures.same("passed", report["passed"], not report["missed"])
    bins = int(played["torch"].manifest["provenance"]["settings"]["bins"])
    figures.same("bins", report["bins"], bins)


def _check_findings(figures, report, program, exact):
    """Hold the findings of the conversion against the float weights, and what folding dropped."""
    stated = {(one["layer"], one["rule"]): (one["value"], one["limit"]) for one in report["checks"]}
    for core, layer in zip(program["cores"], report["layers"], strict=True):
        if core["name"] not in exact:
            continue
        weights, threshold = exact[core["name"]]
        error = np.linalg.norm(core["weights"] / core["scale"] - weights) / np.linalg.norm(weights)
        found = stated[core["name"], "8-bit error"][0]
        for one in (found, layer["weight_error"]):
            assert math.isclose(one, error, rel_tol=1e-4), f"8-bit error: {one}, by hand {error}"
            figures.count += 1
        lost = int(((core["weights"] == 0) & (weights != 0)).sum())
        share = lost / int((weights != 0).sum()) if lost else None
        figures.same("lost weights", stated.get((core["name"], "lost weights"), (None,))[0], share)
        strong = int((core["weights"] >= core["threshold_high"]).sum())
        expected = (strong, core["threshold_high"]) if strong else None
        figures.same("strong weights", stated.get((core["name"], "strong weights")), expected)
        dead = sum(not one.any() for one in core["weights"])
        largest = int(np.abs(core["weights"]).max())
        for rule, by_hand in (("weight range", largest), ("dead channels", dead)):
            if (core["name"], rule) in stated:
                figures.same(rule, stated[core["name"], rule][0], by_hand)
        error = stated.get((core["name"], "threshold error"))
        if error is not None:
            by_hand = core["threshold_high"] / (threshold * core["scale"]) - 1
            figures.same("threshold error", error[0], by_hand)


def _check_rules(figures, report, program):
    """Hold rules and limits of the findings against the list of what is known here."""
    layers = {core["name"] for core in program["cores"]}
    for one in report["checks"]:
        assert one["rule"] in LIMITS, f"a rule without a figure by hand: {one['rule']}"
        assert one["layer"] in {"", *layers}, f"no such layer: {one['layer']}"
        if one["rule"] != "strong weights":
            figures.same(f"limit of {one['rule']}", one["limit"], LIMITS[one["rule"]])


def _check_folding(figures, report, program, folded):
    """Hold what folding dropped against the network's own numbers."""
    if folded:
        (finding,) = [one for one in report["checks"] if one["rule"] == "folding"]
        dropped = max(float(np.abs(constant).max()) for _, constant in folded)
        assert math.isclose(finding["value"], dropped, rel_tol=1e-5)
        figures.count += 1
    layers = [] if report["folding"] is None else report["folding"]["layers"]
    for layer, (gain, constant) in zip(layers, folded or [], strict=folded is not None):
        dropped = np.abs(constant)
        neurons = {core["name"]: core["neuron_name"] for core in program["cores"]}
        figures.same("folding: neuron", layer["neuron"], neurons[layer["layer"]])
        figures.same("folding: channels", layer["channels"], len(gain))
        figures.same("folding: threshold", layer["threshold"], 1.0)
        for name, by_hand in (
            ("gain_min", gain.min()),
            ("gain_max", gain.max()),
            ("dropped_mean", dropped.mean()),
            ("dropped_max", dropped.max()),
        ):
            assert math.isclose(layer[name], by_hand, rel_tol=1e-5), f"{name}: {layer[name]}"
            figures.count += 1


if __name__ == "__main__":
    with np.load(sys.argv[2]) as archive:
        samples = [archive[name] for name in archive.files]
    sys.stdout.write(f"{check(sys.argv[1], samples)} figures are as computed by hand\n")
