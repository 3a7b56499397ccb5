#!/bin/bash
# Answer the reviews of one file in parts, each a job of a queue, with the absa command alone. As an array of SLURM's:
#
#     sbatch --array=1-16 examples/predict_shards.sh 16 bundle/ reviews.parquet answers/ --text-column review
#
# Any other queue, or one machine, says which part it is in PART:
#
#     seq 16 | xargs -P 4 -I {} env PART={} bash examples/predict_shards.sh 16 bundle/ reviews.parquet answers/
#
# Words behind the folder go to absa predict. What is written is kept: the same command again leaves finished parts as
# they are, and goes on with one that was cut off. The number of parts is a word of its own because SLURM's count is that
# of the jobs that were submitted, which differs when a few parts are submitted again (--array=3,7).
#
#SBATCH --job-name=absa
#SBATCH --cpus-per-task=2
#SBATCH --mem=1G
#SBATCH --requeue
#SBATCH --open-mode=append

if [ $# -lt 4 ]; then
    echo "usage: predict_shards.sh PARTS MODEL INPUT FOLDER [words for absa predict]" >&2
    exit 2
fi
parts=$1 model=$2 input=$3 folder=$4
shift 4
part=${PART:-${SLURM_ARRAY_TASK_ID:-}}
if ! [[ $part =~ ^[0-9]+$ ]]; then
    echo "error: which part? Submit with sbatch --array=1-$parts, or set PART to a number from 1 to $parts" >&2
    exit 2
fi
mkdir -p "$folder" || exit 2
answers=$folder/part-$(printf %05d "$((10#$part))").parquet
if [ -e "$answers" ]; then
    echo "$answers: there already"
    exit 0
fi
absa predict "$model" "$input" -o "$answers" --shard "$part/$parts" --resume "$@"
status=$?
[ "$status" = 1 ] && exit 0  # rows that cannot be read stand in part-00003.errors.jsonl; the part is finished
exit "$status"
