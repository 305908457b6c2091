"""The work of two cores, its times and its energy, against the events and a play by hand.

Nothing of the package is imported.
"""

import math

import numpy as np
from by_hand_order import decision, percentile, spikes_of
from by_hand_twin import Server, fan_out

RATE = 10_000_000  # synaptic operations per second of a core, one user's figure
WINDOW = 10_000  # µs
# Nature Communications 2024 and rails that users recorded: W of an idle chip, J of a spike.
IDLE_WATTS, SPIKE_JOULES = (383e-6, 480e-6), (2.2e-9, 5.1e-9)


def check_work(figures, report, played, plays):
    """Hold totals against counts times fan-out, and peaks against the events of the cores.

    The spikes of a devkit have the times of its own clock, so that the peak of the second core
    is held on the twin alone.
    """
    program, inputs = plays.program, plays.inputs
    board = played["chip" if "chip" in played else "twin"]
    figures.same("window", report["synops"]["window_us"], WINDOW)
    figures.same("limit", report["synops"]["limit_per_second"], RATE)
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
        figures.same("synops: index", synops["index"], n)
        figures.same("synops: name", synops["name"], core["name"])
        out, _, *kernel = core["weights"].shape
        estimate = int(arriving[n].sum()) * out * math.prod(kernel) / math.prod(core["stride"])
        figures.same("synops: formula", synops["formula"], estimate)
        figures.same("synops: window", synops["window"], WINDOW)
        if n == 0 or "chip" not in played:
            streams = [
                np.stack([e[name].astype(int) for name in "tyx"], axis=1)
                if n == 0
                else np.array(one.arrived, int).reshape(-1, 3)
                for e, one in zip(inputs, plays.at(), strict=True)
            ]
            _check_peak(figures, layer, fans, streams)


def _check_peak(figures, layer, fans, streams):
    """Hold the peak of a core against the busiest 10 ms that begin at an event."""
    best = (0, None, None)
    for sample, stream in enumerate(streams):
        times, works = stream[:, 0], fans[stream[:, 1], stream[:, 2]]
        for time in times:
            work = int(works[(times >= time) & (times < time + WINDOW)].sum())
            best = max(best, (work, sample, int(time)), key=lambda one: one[0])
    peak = best[0] * 1e6 / WINDOW
    synops = layer["synops"]
    figures.same("synops: peak", layer["synops_per_second_peak"], peak)
    figures.same("synops: peak", synops["peak_per_second"], peak)
    figures.same("synops: load", synops["load"], peak / RATE)
    if best[1] is not None:
        figures.same("synops: peak sample", synops["peak_sample"], best[1])
        figures.same("synops: peak time", synops["peak_time"], best[2])


def check_load(figures, report, played, program, inputs):
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
    loads = zip(report["load"], found[None], found[16], strict=True)
    for n, (stated, roomy, tight) in enumerate(loads):
        figures.same("load: index", stated["index"], n)
        figures.same("load: name", stated["name"], program["cores"][n]["name"])
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
        verdict = _load_verdict(roomy, tight)
        figures.same("load: verdict", stated["verdict"], verdict)
        figures.same("load: passed", stated["passed"], verdict == "keeps up")


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


def check_rate(figures, report, labels, plays):
    """Play the program at the stated rate, since that recording is not kept."""
    rated = report["at_rate"]
    if rated is None:
        return
    found = plays.at(rated["synops_per_second"])
    figures.same("rate: lost", rated["lost"], sum(one.lost for one in found))
    figures.same("rate: samples", rated["samples"], len(found))
    figures.same("rate: input", rated["input_events"], sum(map(len, plays.inputs)))
    figures.same("rate: rate", rated["synops_per_second"], report["load_rate"])
    answers = [_answer(one, plays.program["cores"][1]) for one in found]
    pairs = [pair for pair in zip(answers, labels.tolist(), strict=True) if pair[1] >= 0]
    right = sum(answer == label for answer, label in pairs)
    figures.same("rate: accuracy", rated["accuracy"], right / len(pairs))
    figures.interval(rated["accuracy_interval"], right / len(pairs), len(pairs))


def _answer(played, core):
    """Return the class that the second core answers; None for no answer."""
    scores = played.potentials.sum((1, 2))
    if core["readout"] == "spikes":
        classes = [p for _, p, *_ in played.spikes[1]]
        scores = np.bincount(classes, minlength=len(scores))
    return int(scores.argmax()) if scores.any() else None


def check_latency(figures, report, played, plays):
    """Hold the times to a decision against the spikes of the samples that keep them."""
    if report["latency"] is None:
        return
    for role, stated in report["latency"].items():
        by_rate = role == "twin at rate"
        kept = len(played["twin" if by_rate else role].events[-1])
        if plays.program["cores"][-1]["readout"] != "spikes":
            kept = 0
        elif by_rate:
            found = plays.at(report["at_rate"]["synops_per_second"])
            streams = [one.spikes[1] for one in found[:kept]]
        else:
            streams = [spikes_of(events) for events in played[role].events[-1]]
        pairs = zip(streams, plays.inputs, strict=False) if kept else ()
        times = [decision(one, int(events["t"].min())) for one, events in pairs if one]
        figures.same("latency: samples", stated["samples"], kept)
        figures.same("latency: decided", stated["decided"], len(times))
        for which, name in enumerate(("first", "stable")):
            for end in (50, 95):
                own = percentile([time[which] for time in times], end / 100) if times else None
                figures.same(f"latency: {name} of {role}", stated[f"{name}_p{end}"], own)


def check_energy(figures, report, played, inputs):
    """Hold the estimate against the published figures, over the samples that keep their spikes."""
    stated = report["energy_estimate"]
    if stated is None:
        return
    board = played["chip" if "chip" in played else "twin"]
    kept = max(map(len, board.events))
    spikes = sum(int(counts[:kept].sum()) for counts in board.counts) / kept
    lasting = [int(e["t"].max() - e["t"].min()) / 1e6 for e in inputs[:kept]]
    seconds = sum(lasting) / kept
    figures.same("energy: spikes", stated["spikes"], spikes)
    figures.same("energy: seconds", stated["seconds"], seconds)
    for end in range(2):
        dynamic = spikes * SPIKE_JOULES[end]
        whole = dynamic + seconds * IDLE_WATTS[end]
        figures.same("energy: dynamic", stated["dynamic_joules"][end], dynamic)
        figures.same("energy: joules", stated["joules"][end], whole)
        figures.same("energy: watts", stated["watts"][end], whole / seconds)
