"""Deploy in shards on a Ray cluster, or on the processors of this machine, and make one report.

    python examples/ray_shards.py MODEL DATA OUT [SHARDS]

OUT must be a folder that all machines share. Ray tries a shard again whose machine failed, and it
goes on where it was last saved.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ray

from speckflex.deployment.deploy import DeploySettings
from speckflex.deployment.shards import Shard, ShardRun, deploy_shard, merge_shards


@ray.remote(num_cpus=1, max_retries=3)
def play(model: str, data: str, shard: Shard, folder: Path) -> str:
    """Play one shard on one processor."""
    run = ShardRun(shard, folder)
    played = deploy_shard(model, data, "twin", run, settings=DeploySettings(threads=1))
    return f"shard {shard}: {played.played} of {played.samples} samples"


def main(model: str, data: str, out: str, n_shards: str = "4") -> None:
    """Play all shards and write the report."""
    folder = Path(out).absolute()
    count = int(n_shards)
    waiting = [
        play.remote(model, data, Shard(index, count), folder / "shards")
        for index in range(1, count + 1)
    ]
    while waiting:
        done, waiting = ray.wait(waiting)
        print(*ray.get(done), sep="\n")
    merged = merge_shards([folder / "shards"])
    merged.deployment.save(folder / "report")
    print(merged.deployment.report.verdict)


if __name__ == "__main__":
    ray.init(log_to_driver=False, include_dashboard=False)
    main(*sys.argv[1:])
