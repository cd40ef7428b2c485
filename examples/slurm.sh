#!/bin/bash
# The same recipe on a Slurm cluster: two machines with four GPUs each train together.
#
# Not run: no Slurm was to be had where this was written; it follows torchrun's and Slurm's
# documentation. Change the lines that your cluster wants otherwise.
#
# Run: sbatch slurm.sh /shared/recipe.yaml
#
# The recipe's output_dir must be on a disk that all machines see. The same command goes on where a
# job was stopped, also with other numbers of machines and GPUs.
#SBATCH --job-name=levertune
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00

set -euo pipefail
recipe=${1:?name a recipe}
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

# One torchrun a machine; it starts a process a GPU. One that fails ends the job.
srun --kill-on-bad-exit=1 torchrun \
  --nnodes="$SLURM_NNODES" \
  --nproc-per-node=4 \
  --rdzv-id="$SLURM_JOB_ID" \
  --rdzv-backend=c10d \
  --rdzv-endpoint="$first:29500" \
  -m levertune.cli.main train "$recipe"
