"""Deployments in shards and on several processes: the same report as from one process."""

import hashlib
import json
import math
import os
import re
import socket
import struct
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from networks_of_tests import small_network

from speckflex.boards import open_board
from speckflex.boards.choosing import ChosenBoard
from speckflex.cli import main
from speckflex.conversion.convert import convert
from speckflex.conversion.model import ConvertedModel
from speckflex.data.dataset import EventDataset
from speckflex.deployment.deploy import DeploySettings, deploy
from speckflex.deployment.progress import SAMPLES, ignore
from speckflex.deployment.ranks import Rank
from speckflex.deployment.shards import Shard, ShardRun, deploy_shard, merge_shards
from speckflex.errors import FileFormatError, SpeckflexError
from speckflex.events.streams import as_events, make_events
from speckflex.report import render_json

N = 23
SETTINGS = DeploySettings(batch=4, events_of=6, rate=2e4, ensemble=2, threads=1, early_exit=True)


@pytest.fixture(scope="module")
def program():
    found = convert(small_network(), (2, 34, 34))
    *cores, last = found.cores
    # so low that there is an output to read over time
    return replace(found, cores=(*cores, replace(last, threshold_high=20)))


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(7)
    items = []
    for _ in range(N):
        n = int(rng.integers(100, 200))
        times = np.sort(rng.integers(0, 30_000, n))
        items.append(make_events(times, *(rng.integers(0, side, n) for side in (34, 34, 2))))
    return in_memory(items, rng.integers(-1, 3, N))


def in_memory(items, labels):
    return EventDataset(
        name="random events",
        shape=(2, 34, 34),
        classes=("a", "b", "c"),
        labels=labels,
        synthetic=True,
        items=tuple(range(len(items))),
        read=lambda index: as_events(items[index]),
    )


@pytest.fixture(scope="module")
def alone(program, dataset):
    """The deployment by one process."""
    return deploy(program, dataset, "twin", settings=SETTINGS)


@pytest.fixture(scope="module")
def shards(program, dataset, tmp_path_factory):
    """A folder with three shards of it."""
    folder = tmp_path_factory.mktemp("shards")
    for shard in ("1/3", "2/3", "3/3"):
        played = play(program, dataset, shard, folder)
        assert played.is_whole
    return folder


def play(program, dataset, shard, folder, *, settings=SETTINGS, **options):
    progress, board = options.pop("progress", ignore), options.pop("board", "twin")
    run = ShardRun(Shard.parse(shard), folder, **options)
    return deploy_shard(program, dataset, board, run, settings=settings, progress=progress)


def figures(report):
    """Return a report as text, without times and the identifier of its run."""
    text = render_json(report) if not isinstance(report, str) else report
    return re.sub(r'"(started|run)": "[^"]*"', "", text)


def test_merged_shards_are_the_report_of_one_process(shards, alone):
    merged = merge_shards([shards])
    assert (merged.missing, merged.partly, merged.samples) == ((), (), N)
    assert figures(merged.deployment.report) == figures(alone.report)
    assert set(merged.deployment.recordings) == set(alone.recordings)
    for name, recording in alone.recordings.items():
        for layer in recording.layers:
            found = merged.deployment.recordings[name].layer(layer.index)
            np.testing.assert_array_equal(found.counts, layer.counts)
            assert len(found.events) == len(layer.events) == 8


def test_early_exit_is_studied_over_the_samples_of_all_shards(shards, alone):
    [study] = merge_shards([shards]).deployment.report.early_exits.early_exit.values()
    assert study.samples == (alone.recordings["twin"].labels >= 0).sum()
    assert study.to_the_end.accuracy == alone.report.accuracies.accuracy["twin"]
    assert study.to_the_end.spikes_read > 0


def test_a_report_states_hashes_that_can_be_computed_by_hand(files, dataset, tmp_path):
    command = [*files, "--board", "twin", "--threads", "1", "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(main, command).exit_code == 0
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert found["model_sha256"] == hashlib.sha256(Path(files[1]).read_bytes()).hexdigest()
    # t, x, y and p of a recording as little-endian int64; the file of recordings has no labels
    digests = [
        hashlib.sha256(
            b"".join(struct.pack(f"<{len(events)}q", *events[name].tolist()) for name in "txyp")
        ).digest()
        for events, _ in map(dataset.__getitem__, range(N))
    ]
    wanted = hashlib.sha256(b"".join(digests) + struct.pack("<q", -1) * N).hexdigest()
    assert found["data"]["sha256"] == wanted
    head = ["git", "-C", str(Path.cwd()), "rev-parse", "HEAD"]
    commit = subprocess.run(head, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    assert found["working_directory_commit"].removesuffix("+") == commit


def test_shards_of_several_twins_merge_and_say_so(program, dataset, shards, alone, tmp_path):
    with open_board("twin", threads=1) as board:
        board.name = "twin:elsewhere"
        play(program, dataset, "2/3", tmp_path, board=ChosenBoard(board, "twin:elsewhere"))
    parts = [shards / "shard-1-of-3.shard", tmp_path, shards / "shard-3-of-3.shard"]
    report = merge_shards(parts).deployment.report
    assert report.board == "twin, twin:elsewhere"
    assert report.run.data.warnings == ("the shards were played on 2 boards: twin, twin:elsewhere",)
    assert report.accuracies == alone.report.accuracies


@pytest.mark.parametrize(("n", "batch", "count"), [(23, 4, 3), (5, 4, 5), (10_000, 32, 64)])
def test_shares_cover_each_sample_once_in_whole_batches(n, batch, count):
    shares = [Shard(index, count).share(n, batch) for index in range(1, count + 1)]
    assert [sample for share in shares for sample in share] == list(range(n))
    assert min(map(len, shares)) >= 1
    if n > batch * count:
        assert all(share.start % batch == 0 for share in shares)


def test_figures_do_not_depend_on_how_many_counts_are_kept(program, dataset, alone):
    few = deploy(program, dataset, "twin", settings=replace(SETTINGS, counts_of=0))
    assert figures(few.report) == figures(alone.report)
    assert few.recordings["twin"].n_samples == 8  # events_of, in whole batches
    assert alone.recordings["twin"].n_samples == N


class Killed(BaseException):
    """Ends a run as a kill does: nothing is written after it."""


def test_a_killed_shard_goes_on_where_it_was_saved(program, dataset, shards, alone, tmp_path):
    def kill(step):
        if step.stage == SAMPLES and step.done == 8:
            raise Killed

    with pytest.raises(Killed):
        play(program, dataset, "2/3", tmp_path, save_every=0.0, progress=kill)
    assert [path.name for path in tmp_path.iterdir()] == ["shard-2-of-3.shard"]
    partly = merge_shards([tmp_path, shards / "shard-1-of-3.shard"])
    assert (partly.missing, partly.partly) == ((3,), (2,))
    assert partly.deployment.report.samples == 12
    played_again = []
    played = play(
        program,
        dataset,
        "2/3",
        tmp_path,
        progress=lambda step: step.stage == SAMPLES and played_again.append(step.done),
    )
    assert (played.before, played.played, played.is_whole) == (4, 8, True)
    assert played_again == [4]
    parts = [shards / "shard-1-of-3.shard", tmp_path, shards / "shard-3-of-3.shard"]
    assert figures(merge_shards(parts).deployment.report) == figures(alone.report)


def test_a_whole_shard_is_not_played_again(program, dataset, shards):
    stages = []
    before = (shards / "shard-3-of-3.shard").read_bytes()
    played = play(program, dataset, "3/3", shards, progress=lambda step: stages.append(step.stage))
    assert played.before == played.played == played.samples
    assert "twin" not in stages
    assert (shards / "shard-3-of-3.shard").read_bytes() == before


def test_an_interrupted_shard_is_kept_and_is_not_whole(program, dataset, tmp_path):
    def interrupt(step):
        if step.stage == SAMPLES:
            raise KeyboardInterrupt

    played = play(program, dataset, "1/2", tmp_path, progress=interrupt)
    assert (played.played, played.is_whole) == (4, False)
    assert merge_shards([tmp_path]).partly == (1,)


def test_a_report_on_some_shards_says_how_many_are_missing(shards):
    merged = merge_shards([shards / "shard-2-of-3.shard"])
    assert merged.missing == (1, 3)
    report = merged.deployment.report
    assert report.samples == 8
    assert report.run.data.warnings == (
        "2 of 3 shards missing (1, 3): all figures are of 8 of 23 recordings",
    )


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("program", "different deployments, program"),
        ("network", "different deployments, network as it was given in place of none"),
        ("data", "different deployments, data"),
        ("board", "different deployments, board virtual:speck2e in place of twin"),
        ("settings", "different deployments, bins"),
        ("count", "different deployments, one of 4 shards in place of 3, so that they overlap"),
        ("twice", "both hold shard 2/3"),
    ],
)
def test_shards_of_different_deployments_are_not_merged(
    kind, message, program, dataset, shards, tmp_path
):
    other = {
        "program": lambda: play(other_program(program), dataset, "2/3", tmp_path),
        "network": lambda: play(with_network(program), dataset, "2/3", tmp_path),
        "data": lambda: play(program, changed(dataset), "2/3", tmp_path),
        "board": lambda: play(program, dataset, "2/3", tmp_path, board="virtual:speck2e"),
        "settings": lambda: play(
            program, dataset, "2/3", tmp_path, settings=replace(SETTINGS, bins=11)
        ),
        "count": lambda: play(program, dataset, "2/4", tmp_path),
        "twice": lambda: play(program, dataset, "2/3", tmp_path),
    }
    other[kind]()
    with pytest.raises(FileFormatError, match=re.escape(message)) as caught:
        merge_shards([shards, tmp_path])
    assert "\n" not in str(caught.value)


def other_program(program):
    """The same program with another threshold in its last layer."""
    *cores, last = program.cores
    return replace(program, cores=(*cores, replace(last, threshold_high=last.threshold_high + 1)))


def with_network(program):
    """The same program with the torch network that it came from."""
    return ConvertedModel(Path("model.pt"), program, small_network())


def changed(dataset):
    """The same labels, with one event less in the first recording."""

    def read(item):
        return dataset.read(item)[1:] if item == 0 else dataset.read(item)

    return replace(dataset, read=read)


def test_a_shard_of_another_deployment_is_not_continued(program, dataset, shards):
    with pytest.raises(FileFormatError, match="is a shard of another deployment, bins 10 in place"):
        play(program, dataset, "2/3", shards, settings=replace(SETTINGS, bins=11))


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/0", "a/b", "1/2/3", "-1/3"])
def test_what_names_no_shard_is_refused(text):
    with pytest.raises(SpeckflexError, match="such as 3/64"):
        Shard.parse(text)


def test_more_shards_than_recordings_are_refused(program, dataset, tmp_path):
    with pytest.raises(SpeckflexError, match="has 23 recordings to play: choose at most 23"):
        play(program, dataset, "1/24", tmp_path)


@pytest.mark.parametrize("cut", [0.0, 0.4, 0.999])
def test_a_cut_file_is_an_error_in_one_line(cut, shards, tmp_path):
    content = (shards / "shard-1-of-3.shard").read_bytes()
    (tmp_path / "shard-1-of-3.shard").write_bytes(content[: int(cut * len(content))])
    with pytest.raises(FileFormatError, match="play the shard again") as caught:
        merge_shards([tmp_path])
    assert "\n" not in str(caught.value)


def test_a_program_is_not_called_a_damaged_shard(program, tmp_path):
    program.save(tmp_path / "p.speck")
    with pytest.raises(
        FileFormatError, match=r"p\.speck: is no file of a shard: give what"
    ) as caught:
        merge_shards([tmp_path / "p.speck"])
    assert "remove" not in str(caught.value)


@pytest.mark.parametrize("value", [10**12, math.inf, -(10**400), "x", None, []])
def test_a_shard_of_absurdly_many_is_refused_in_one_line(value, shards, tmp_path):
    with zipfile.ZipFile(shards / "shard-1-of-3.shard") as old:
        members = {name: old.read(name) for name in old.namelist()}
    manifest = json.loads(members["manifest.json"]) | {"count": value}
    members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(tmp_path / "shard-1-of-3.shard", "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
    with pytest.raises(FileFormatError, match="play the shard again"):
        merge_shards([tmp_path])


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "shard-1-of-2.shard")
    with pytest.raises(FileFormatError, match="is a pipe or a device"):
        merge_shards([tmp_path])


@pytest.fixture(scope="module")
def files(program, dataset, tmp_path_factory):
    """The program and the recordings as files, as the command takes them."""
    folder = tmp_path_factory.mktemp("files")
    program.save(folder / "p.speck")
    np.savez(folder / "events.npz", **{f"s{n:02}": dataset[n][0] for n in range(N)})
    return ("deploy", str(folder / "p.speck"), "--data", str(folder / "events.npz"))


def test_the_commands_play_a_shard_and_merge(files, tmp_path):
    run = CliRunner().invoke
    options = ("--board", "twin", "--threads", "1")
    for shard in ("1/2", "2/2"):
        result = run(main, [*files, *options, "--shard", shard, "--out", str(tmp_path / "s")])
        assert result.exit_code == 0, result.output
        assert f"shard {shard}: " in result.output
    merged = run(main, ["merge", str(tmp_path / "s"), "--out", str(tmp_path / "report")])
    assert merged.exit_code == 0, merged.output
    assert merged.stdout.startswith("shards: 2 of 2\n")
    assert run(main, [*files, *options, "--out", str(tmp_path / "one")]).exit_code == 0
    texts = [(tmp_path / name / "report.json").read_text() for name in ("report", "one")]
    first, second = (re.sub(r'"command": .*', "", figures(text)) for text in texts)
    assert first == second
    refused = run(main, [*files, *options, "--shard", "1/2"])
    assert refused.exit_code == 2
    assert "give --out FOLDER too" in refused.output


def test_two_processes_make_the_report_of_one(files, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    one, out = tmp_path / "one", tmp_path / "two"
    ranks = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    code = "from speckflex.cli import main; main()"
    command = [sys.executable, "-c", code, *files, "--board", "twin", "--threads", "1"]
    processes = [
        subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
            [*command, "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **ranks, "RANK": rank},
        )
        for rank in ("0", "1")
    ]
    ends = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    assert ends[1] == ("", "")
    assert CliRunner().invoke(main, [*command[3:], "--out", str(one)]).exit_code == 0
    texts = [(folder / "report.json").read_text() for folder in (one, out)]
    reports = [json.loads(text) for text in texts]
    assert reports[1]["samples"] == N
    for report in reports:
        del report["command"]
        for provenance in report["provenance"].values():
            provenance["settings"].pop("threads", None)
    assert figures(json.dumps(reports[0])) == figures(json.dumps(reports[1]))


SLURM = Path(__file__).parents[2] / "examples" / "slurm"


def words_of(script, folder, **variables):
    """Return what a script of Slurm asks of speckflex, in the environment of one task."""
    stub = folder / "speckflex"
    stub.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{folder}/words'\n")
    stub.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    command = ["sh", str(SLURM / script)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": path, **variables})  # noqa: S603, PLW1510
    assert done.returncode == 0, done.stderr
    return (folder / "words").read_text().splitlines()


def test_the_slurm_scripts_play_the_shards_and_merge_them(files, tmp_path):
    out = str(tmp_path / "my run")
    asked = {"MODEL": files[1], "DATA": files[3], "OUT": out, "SLURM_CPUS_PER_TASK": "1"}
    both = {**asked, "SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "2"}
    # one task alone, as a user starts it again after a failure
    again = {**asked, "SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_COUNT": "1", "SHARDS": "2"}
    for task in (both, again):
        result = CliRunner().invoke(main, words_of("deploy.sh", tmp_path, **task))
        assert result.exit_code == 0, result.output
    result = CliRunner().invoke(main, words_of("merge.sh", tmp_path, OUT=out))
    assert result.stdout.startswith("shards: 2 of 2\n")
    assert json.loads((tmp_path / "my run/report/report.json").read_text())["samples"] == N


@pytest.mark.parametrize("script", ["deploy.sh", "merge.sh"])
def test_a_slurm_script_states_its_needs_first_and_stops_without_its_variables(script):
    lines = (SLURM / script).read_text().splitlines()
    assert lines[0] == "#!/bin/sh"
    first = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    # Slurm reads no option behind the first command
    assert not any(line.startswith("#SBATCH") for line in lines[first:])
    assert sum(line.startswith("#SBATCH --") for line in lines[:first]) > 3
    command = ["sh", str(SLURM / script)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})  # noqa: S603, PLW1510
    assert done.returncode != 0
    assert "not set" in done.stderr or "unbound" in done.stderr


def test_ray_plays_shards(files, shards, tmp_path):
    if find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install ray")
    script = Path(__file__).parents[2] / "examples" / "ray_shards.py"
    command = [sys.executable, str(script), files[1], files[3], str(tmp_path / "out"), "2"]
    environment = {**os.environ, "HOME": str(tmp_path)}  # Ray writes into the home folder
    done = subprocess.run(  # noqa: S603 - our own example
        command, capture_output=True, text=True, check=False, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    merged = merge_shards([shards]).deployment.report
    assert report["samples"] == N
    assert report["layers"][0]["spikes"] == merged.layers[0].spikes


def test_the_environment_says_which_process_this_is():
    torchrun = {"MASTER_ADDR": "h", "MASTER_PORT": "1", "LOCAL_WORLD_SIZE": "2"}
    assert Rank.of_process({**torchrun, "RANK": "3", "WORLD_SIZE": "4"}) == Rank(3, 4, 2)
    assert Rank.of_process({**torchrun, "RANK": "0", "WORLD_SIZE": "1"}) is None
    assert Rank.of_process({"RANK": "3", "WORLD_SIZE": "4"}) is None
    with pytest.raises(SpeckflexError, match="start the command with torchrun"):
        Rank.of_process({**torchrun, "RANK": "x", "WORLD_SIZE": "4"})
