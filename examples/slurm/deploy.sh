#!/bin/sh
# Deploy in 64 shards on a Slurm cluster, then make one report:
#
#     sbatch --export=ALL,MODEL=model.pt,DATA=recordings,OUT=run examples/slurm/deploy.sh
#
# A job that was ended, by a time limit or a failed machine, is queued again and goes on where its
# shard was last saved. Tasks that are done already end at once. To start single tasks anew, say how many
# shards there are in all:
#
#     sbatch --array=7,9 --export=ALL,MODEL=model.pt,DATA=recordings,OUT=run,SHARDS=64 examples/slurm/deploy.sh
#SBATCH --job-name=speckflex
#SBATCH --array=1-64
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
#SBATCH --time=04:00:00
#SBATCH --requeue
set -eu

speckflex deploy "$MODEL" --board twin --data "$DATA" \
    --threads "${SLURM_CPUS_PER_TASK:-1}" \
    --shard "$SLURM_ARRAY_TASK_ID/${SHARDS:-$SLURM_ARRAY_TASK_COUNT}" --out "$OUT/shards"
