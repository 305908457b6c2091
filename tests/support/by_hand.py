"""The figures of a report.json, computed anew with numpy and h5py from the files beside it.

This script imports nothing of the package: it reads the formats as `docs/formats.md` describes
them. It also runs by itself: `python tests/support/by_hand.py DIR EVENTS.npz`.
"""

import io
import json
import math
import sys
import zipfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np

STEPS = {"trained": "torch", "folded": "folded", "eight-bit": "eight-bit", "twin": "twin"}
STEPS["chip"] = "chip"


class Played:
    """One recording, as its file has it."""

    def __init__(self, path):
        with h5py.File(path) as file:
            self.manifest = json.loads(file["manifest"][()])
            self.labels = file["labels"][:].astype(int) if "labels" in file else None
            self.logs = {name: file[f"samples/{name}"][:].astype(int) for name in file["samples"]}
            groups = [file[f"layers/{n}"] for n in range(len(self.manifest["layers"]))]
            self.counts = [group["counts"][:].astype(int) for group in groups]
            self.potentials = [
                group["potentials"][:].astype(int) if "potentials" in group else None
                for group in groups
            ]
            self.events = [
                _events(group["events"]) if "events" in group else [] for group in groups
            ]

    @property
    def scores(self):
        """(sample, class) what the last layer scores."""
        last = self.potentials[-1]
        return (self.counts[-1] if last is None else last).sum((2, 3))

    @property
    def answers(self):
        """The class of each sample, None for no answer."""
        return [int(row.argmax()) if row.any() else None for row in self.scores]

    @property
    def output(self):
        """Position of the last layer that is read by its spikes."""
        spiking = [n for n, values in enumerate(self.potentials) if values is None]
        return (spiking or range(len(self.counts)))[-1]


def _events(group):
    offsets = group["offsets"][:].astype(int)
    columns = {name: group[name][:].astype(int) for name in "txyp"}
    return [
        {name: column[start:stop] for name, column in columns.items()}
        for start, stop in pairwise(offsets)
    ]


def read_program(path):
    """Return the cores and the input stage of a program as plain data, weights as int arrays."""
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        program = manifest["program"]
        for index, core in enumerate(program["cores"]):
            for name in ("weights", "initial_state"):
                if core[name] is not None:
                    data = io.BytesIO(archive.read(f"cores/{index}/{name}.npy"))
                    core[name] = np.load(data, allow_pickle=False).astype(int)
    return program, manifest["sha256"]


def difference(s, other):
    """Return Eq. 16, None where it has no finite value."""
    total = int(s.sum())
    return int(np.abs(s - other).sum()) / total if total else None


def cosine(a, b):
    """Return the cosine of two arrays, None where one of them is all zero."""
    lengths = math.sqrt(float((a * a).sum())) * math.sqrt(float((b * b).sum()))
    return float((a * b).sum()) / lengths if lengths else None


def share_right(played, labels):
    """Return the accuracy, None without labels."""
    if labels is None or not (labels >= 0).any():
        return None
    pairs = [(a, t) for a, t in zip(played.answers, labels.tolist(), strict=True) if t >= 0]
    return sum(a == t for a, t in pairs) / len(pairs)


def check(folder, inputs, weights=None):
    """Compare every figure of `folder`/report.json with its files; return how many there were.

    Args:
        folder: what `speckflex deploy --out` wrote.
        inputs: one structured array of t, x, y, p a sample, no two events at one time.
        weights: float weights of each layer before rounding, in the shape of the core's, by name;
            None to leave the findings of the conversion out.
    """
    folder = Path(folder)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    played = {
        path.stem.removeprefix("recording-"): Played(path)
        for path in sorted(folder.glob("recording-*.h5"))
    }
    program, sha256 = read_program(folder / "program.speck")
    figures = Figures()
    figures.same("sha256", report["program"]["sha256"], sha256)
    compared = {role: one for role, one in played.items() if role in ("torch", "twin", "chip")}
    labels = next((one.labels for one in played.values() if one.labels is not None), None)
    _check_accuracy(figures, report, compared, labels)
    _check_ladder(figures, report, played, labels)
    _check_layers(figures, report, compared, program)
    _check_memory(figures, report, program)
    _check_losses(figures, report, played)
    _check_work(figures, report, played, program, inputs)
    _check_samples(figures, report, compared, labels)
    _check_pairs(figures, report, compared, labels)
    _check_load(figures, report, played, program, inputs)
    _check_rate(figures, report, inputs)
    _check_findings(figures, report, program, weights or {})
    return figures.count


class Figures:
    """Counts figures and holds each against the one computed by hand."""

    def __init__(self):
        self.count = 0

    def same(self, name, stated, by_hand):
        """Fail where a stated figure is not the one by hand, but for rounding of floats."""
        self.count += 1
        alike = (
            math.isclose(stated, by_hand, rel_tol=1e-9, abs_tol=1e-12)
            if isinstance(stated, float) and isinstance(by_hand, float | int)
            else stated == by_hand
        )
        assert alike, f"{name}: the report says {stated!r}, by hand it is {by_hand!r}"


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
        _check_interval(figures, report["accuracy_interval"][role], own, int((labels >= 0).sum()))


def _check_interval(figures, stated, share, n):
    """Hold an interval against Wilson's formula (1927) at 95 %."""
    z = 1.959963984540054
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    for end, by_hand in zip(stated, (centre - half, centre + half), strict=True):
        figures.same("interval", round(end, 9), round(by_hand, 9))


def _check_ladder(figures, report, played, labels):
    steps = [step for step, role in STEPS.items() if role in played]
    figures.same("steps", [rung["step"] for rung in report["ladder"]], steps)
    before = None
    for rung in report["ladder"]:
        own = played[STEPS[rung["step"]]]
        accuracy = share_right(own, labels)
        figures.same(f"ladder: {rung['step']}", rung["accuracy"], accuracy)
        figures.same("ladder: samples", rung["samples"], len(own.counts[0]))
        figures.same("ladder: spikes", rung["spikes"], int(own.counts[own.output].sum()))
        expected = lost = None
        if before is not None:
            output = own.output
            hardware = rung["step"] in ("twin", "chip")
            pair = (own, before) if hardware else (before, own)
            expected = difference(*(one.counts[output] for one in pair))
            if accuracy is not None:
                lost = 100 * (share_right(before, labels) - accuracy)
                answers = zip(before.answers, own.answers, labels.tolist(), strict=True)
                wrong = sum(a == t != b for a, b, t in answers)
                figures.same("newly wrong", rung["newly_wrong"], wrong)
        figures.same("ladder: difference", rung["spike_difference"], expected)
        figures.same("ladder: points", rung["points_lost"], lost)
        before = own


def _check_layers(figures, report, played, program):
    board_role = "chip" if "chip" in played else "twin"
    board, torch = played[board_role], played.get("torch")
    silent = [
        core["name"]
        for core, counts in zip(program["cores"], board.counts, strict=True)
        if core["readout"] == "spikes" and not counts.any()
    ]
    figures.same("silent layers", report["silent_layers"], silent)
    for n, layer in enumerate(report["layers"]):
        own = board.counts[n]
        figures.same("spikes", layer["spikes"], int(own.sum()))
        figures.same("silent neurons", layer["silent_neurons"], float((own.sum(0) == 0).mean()))
        if torch is None:
            continue
        by_potential = board.potentials[n] is not None
        values = (
            (board.potentials[n], torch.potentials[n]) if by_potential else (own, torch.counts[n])
        )
        expected = None if by_potential else difference(own, torch.counts[n])
        figures.same("spike difference", layer["spike_difference"], expected)
        figures.same("cosine", layer["cosine"], cosine(*values))
    if torch is not None:
        figures.same("reference", report["reference"], board_role)
        output = board.output
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
        if repeat is None or role != report["played"]:
            figures.same("no estimate", stated["estimate"], None)
            continue
        pairs = list(zip(own.counts, repeat.counts, strict=True))
        squares = sum(int(((a - b) ** 2).sum()) for a, b in pairs)
        share = squares / sum(int((a + b).sum()) for a, b in pairs)
        figures.same("estimated share", stated["estimate"]["share"], share)


def _check_work(figures, report, played, program, inputs):
    """Hold totals against counts times fan-out, and the first core's peak against its events."""
    board = played["chip" if "chip" in played else "twin"]
    stage = program["input"]
    assert stage["pooling"] == [1, 1], "this script knows no other input stage"
    assert not any(stage[name] for name in ("merge_polarities", "mirror_y", "swap_xy"))
    arriving = [np.zeros((len(inputs), *core["input_shape"]), int) for core in program["cores"]]
    for sample, events in enumerate(inputs):
        for destination in stage["destinations"]:
            place = (sample, events["p"], events["y"], events["x"])
            np.add.at(arriving[destination["core"]], place, 1)
    for core, counts in zip(program["cores"], board.counts, strict=True):
        for destination in core["destinations"]:
            p, first = destination["pooling"], destination["feature_shift"]
            n, channels, height, width = counts.shape
            whole = counts[:, :, : height // p * p, : width // p * p]
            pooled = whole.reshape(n, channels, height // p, p, width // p, p).sum((3, 5))
            arriving[destination["core"]][:, first : first + channels] += pooled
    for n, (core, layer) in enumerate(zip(program["cores"], report["layers"], strict=True)):
        fans = fan_out(core)
        work = (arriving[n] * fans).sum((1, 2, 3))
        synops = layer["synops"]
        figures.same("synops: samples", synops["samples"], len(inputs))
        figures.same("synops: events", synops["input_events"], int(arriving[n].sum()))
        figures.same("synops: total", synops["total"], int(work.sum()))
        figures.same("synops: each", synops["per_inference"], int(work.sum()) / len(inputs))
        lasting = [max(10_000, int(e["t"].max() - e["t"].min())) / 1e6 for e in inputs]
        demand = max(float(w) / seconds for w, seconds in zip(work, lasting, strict=True))
        figures.same("synops: demand", synops["sustained_per_second"], demand)
        spikes = int(board.counts[n].sum())
        figures.same("spikes each", layer["spikes_per_inference"], spikes / len(inputs))
        if n == 0:
            peak = max(busiest_window(events, fans) for events in inputs)
            figures.same("synops: peak", layer["synops_per_second_peak"], 100.0 * peak)


def fan_out(core):
    """Return (y, x): the neurons that an event at a place updates, counted kernel by kernel."""
    out, _, *kernel = core["weights"].shape
    sides = []
    for axis in range(2):
        size, pad, stride = (
            core["input_shape"][1 + axis],
            core["padding"][axis],
            core["stride"][axis],
        )
        n_neurons = (size + 2 * pad - kernel[axis]) // stride + 1
        covered = np.zeros(size + 2 * pad, int)
        for neuron in range(n_neurons):
            covered[neuron * stride : neuron * stride + kernel[axis]] += 1
        sides.append(covered[pad : pad + size])
    return out * np.outer(*sides)


def busiest_window(events, fans):
    """Return the most updates in any 10 ms that begin at an event."""
    work = fans[events["y"], events["x"]]
    times = events["t"]
    return max(int(work[(times >= t) & (times < t + 10_000)].sum()) for t in times)


def _check_samples(figures, report, played, labels):
    board = played["chip" if "chip" in played else "twin"]
    figures.same("number of samples", len(report["per_sample"]), len(board.answers))
    for n, stated in enumerate(report["per_sample"]):
        label = None if labels is None or labels[n] < 0 else int(labels[n])
        figures.same("label", stated["label"], label)
        figures.same("stopped", stated["stopped"], board.manifest["stopped"][n])
        for role in ("torch", "twin", "chip"):
            own = played[role].answers[n] if role in played else None
            figures.same(f"answer of {role}", stated[role], own)
            if role not in played:
                continue
            first, second = sorted(played[role].scores[n].tolist(), reverse=True)[:2]
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
        for layer in pair["layers"]:
            n = layer["index"]
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
            if n == a.output:
                figures.same("pair: output", pair["spike_difference_layer"], layer["name"])
                stated = pair["spike_difference"]
                figures.same("pair: output", stated, layer["spike_difference"])


def _check_load(figures, report, played, program, inputs):
    """Follow every event through a chain of two cores, as docs/twin.md says how events wait."""
    rate, n_samples = report["load_rate"], report["load_samples"]
    stage, (first, second) = program["input"], program["cores"]
    assert [one["core"] for one in stage["destinations"]] == [0]
    assert [one["core"] for one in first["destinations"]] == [1]
    fans = [fan_out(core) * 1e6 / rate for core in (first, second)]
    pooling = first["destinations"][0]["pooling"]
    spikes = played["twin"].events[0]
    found = {room: [[], []] for room in (None, 16)}
    for sample in range(n_samples):
        events, sent = inputs[sample], spikes[sample]
        work = fans[0][events["y"], events["x"]]
        y, x = sent["y"] // pooling, sent["x"] // pooling
        inside = (y < second["input_shape"][1]) & (x < second["input_shape"][2])
        caused = {}
        for t, row, column in zip(sent["t"][inside], y[inside], x[inside], strict=True):
            caused.setdefault(int(t), []).append(float(fans[1][row, column]))
        for room, servers in found.items():
            two = (Server(room), Server(room))
            follow(two, events["t"].tolist(), work.tolist(), caused)
            for server, kept in zip(two, servers, strict=True):
                kept.append(server)
    lasting = [max(10_000, int(e["t"].max() - e["t"].min())) for e in inputs[:n_samples]]
    for stated, roomy, tight in zip(report["load"], found[None], found[16], strict=True):
        demands = [rate * s.busy / time for s, time in zip(roomy, lasting, strict=True)]
        most = int(np.argmax(demands))
        served = rate * roomy[most].busy / max(lasting[most], roomy[most].span)
        figures.same("load: events", stated["events"], sum(len(s.gone) for s in tight))
        figures.same("load: samples", stated["samples"], n_samples)
        figures.same("load: dropped", stated["dropped"], 0)
        figures.same("load: demand", stated["demand"], demands[most])
        figures.same("load: served", stated["served"], served)
        figures.same("load: factor", stated["factor"], demands[most] / rate)
        for name, servers in (
            *((name, roomy) for name in ("longest_wait", "backlog", "utilisation")),
            *((name, tight) for name in ("stalled", "input_wait")),
        ):
            by_hand = max(getattr(server, name) for server in servers)
            figures.same(f"load: {name}", round(stated[name], 6), round(by_hand, 6))
        figures.same("load: verdict", stated["verdict"], _load_verdict(roomy, tight))


class Server:
    """A core that takes events one by one; `room` may wait, None for any number."""

    def __init__(self, room):
        self.room, self.gone, self.sent = room, [], []
        self.busy = self.longest_wait = self.stalled = self.input_wait = 0.0

    def enter(self, ready):
        """Return when an event that is ready finds room."""
        self.sent.append(ready)
        if self.room is None or len(self.gone) <= self.room:
            return ready
        return max(ready, self.gone[-self.room - 1])

    def work(self, entered, work):
        """Return when an event is done that entered and takes so much work."""
        begins = max(entered, self.gone[-1] if self.gone else entered)
        self.longest_wait = max(self.longest_wait, begins - self.sent[-1])
        self.busy += work
        return begins + work

    @property
    def span(self):
        """µs from the first event to the end of the work."""
        return max(self.gone[-1], self.sent[-1]) - self.sent[0] if self.sent else 0.0

    @property
    def backlog(self):
        """µs that it still works after the last event came."""
        return max(self.gone[-1] - self.sent[-1], 0.0) if self.sent else 0.0

    @property
    def utilisation(self):
        """Share of the span in which it works."""
        return self.busy / self.span if self.span else 0.0


def follow(servers, times, works, caused):
    """Let events through two servers; `caused` is the work of the spikes by the time of a cause."""
    first, second = servers
    before = -math.inf
    for time, work in zip(times, works, strict=True):
        ready = float(time)
        entered = first.enter(max(ready, before))
        if first.room is not None and entered > ready:
            first.input_wait = max(first.input_wait, entered - ready)
        first.sent[-1], before = ready, entered
        done = leaves = first.work(entered, work)
        for of_spike in caused.get(int(time), ()):
            leaves = second.enter(leaves)
            second.gone.append(second.work(leaves, of_spike))
        first.stalled += leaves - done
        first.gone.append(leaves)


def _load_verdict(roomy, tight):
    limit = 10_000.0
    if max(server.longest_wait for server in roomy) > limit:
        return "overloaded"
    if max(server.input_wait for server in tight) > limit:
        return "holds the input up"
    return "held up" if max(server.stalled for server in tight) > limit else "keeps up"


def _check_rate(figures, report, inputs):
    """Hold what can be known of the play at a stated rate, whose recording is not kept."""
    rated = report["at_rate"]
    if rated is None:
        return
    figures.same("rate: samples", rated["samples"], len(inputs))
    figures.same("rate: input", rated["input_events"], sum(map(len, inputs)))
    figures.same("rate: rate", rated["synops_per_second"], report["load_rate"])
    if rated["accuracy"] is not None:
        n = sum(row["label"] is not None for row in report["per_sample"])
        figures.same("rate: whole samples", rated["accuracy"] * n, round(rated["accuracy"] * n))
        _check_interval(figures, rated["accuracy_interval"], rated["accuracy"], n)


def _check_findings(figures, report, program, weights):
    """Hold the findings of the conversion against the float weights."""
    stated = {(one["layer"], one["rule"]): one["value"] for one in report["checks"]}
    for core in program["cores"]:
        exact = weights.get(core["name"])
        if exact is None:
            continue
        error = np.linalg.norm(core["weights"] / core["scale"] - exact) / np.linalg.norm(exact)
        found = stated[core["name"], "8-bit error"]
        assert math.isclose(found, error, rel_tol=1e-4), f"8-bit error: {found}, by hand {error}"
        figures.count += 1
        lost = int(((core["weights"] == 0) & (exact != 0)).sum())
        share = lost / int((exact != 0).sum()) if lost else None
        figures.same("lost weights", stated.get((core["name"], "lost weights")), share)


if __name__ == "__main__":
    with np.load(sys.argv[2]) as archive:
        samples = [archive[name] for name in archive.files]
    sys.stdout.write(f"{check(sys.argv[1], samples)} figures are as computed by hand\n")
