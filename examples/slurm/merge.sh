#!/bin/sh
# Make the one report when all tasks of deploy.sh are done:
#
#     sbatch --dependency=afterok:JOB --export=ALL,OUT=run examples/slurm/merge.sh
#
# On a login node the same command shows at any time what is there so far.
#SBATCH --job-name=speckflex-merge
#SBATCH --ntasks=1
#SBATCH --mem=2G
#SBATCH --time=00:30:00
set -eu

speckflex merge "$OUT/shards" --out "$OUT/report"
