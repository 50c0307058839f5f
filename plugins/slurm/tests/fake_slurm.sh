#!/bin/bash
# Commands of a Slurm that is none: jobs run here, one after the other, and accounting is switched off.
# Called as sbatch, srun, squeue, sacct, scontrol, scancel; state lies in the folder of $FAKE_SLURM.
set -eu
cd_state() { cd "$FAKE_SLURM"; }

run_array() { # ID SCRIPT: each job, and its exit code
    local id=$1 script=$2 job
    for job in $(sed -n "s/^$id //p" jobs); do
        export SLURM_JOB_ID=$id SLURM_CPUS_PER_TASK=1
        case $job in *_*) export SLURM_ARRAY_JOB_ID=$id SLURM_ARRAY_TASK_ID=${job#*_} ;; esac
        code=0
        (cd "$FROM" && bash "$FAKE_SLURM/$script") >"$job.out" 2>&1 || code=$?
        echo "$code" >"$job.code"
    done
}

case $(basename "$0") in
sbatch)
    export FROM=$PWD
    script=$(realpath "$1")
    cd_state
    if [ -e most ] && [ "$(cat last 2>/dev/null)" = "$(cat most)" ]; then
        echo "sbatch: error: Batch job submission failed: too many." >&2
        exit 1
    fi
    id=$(($(cat last 2>/dev/null || echo 100) + 1))
    echo "$id" >last
    cp "$script" "$id.sh"
    last=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\)%.*/\1/p' "$script")
    if [ -z "$last" ]; then echo "$id $id" >>jobs; else for n in $(seq 0 "$last"); do echo "$id ${id}_$n" >>jobs; done; fi
    echo "Submitted batch job $id"
    # submitit puts its files into their places after this has returned
    if [ ! -e hold ]; then (exec 9>lock; flock 9; sleep 0.5; run_array "$id" "$id.sh") >/dev/null 2>&1 </dev/null & fi
    ;;
srun)
    while [ $# -gt 0 ]; do case $1 in --output) shift 2 ;; --*) shift ;; *) break ;; esac; done
    exec "$@"
    ;;
squeue)
    cd_state
    [ -e jobs ] || exit 0
    looks=$(($(cat looks 2>/dev/null || echo 0) + 1))
    echo "$looks" >looks
    # nothing runs where jobs are held: they fail after a while, so that no test waits for ever
    if [ -e hold ] && [ "$looks" -gt 100 ]; then while read -r _ job; do echo 1 >"$job.code"; done <jobs; fi
    while read -r _ job; do [ -e "$job.code" ] || echo "$job|RUNNING|None"; done <jobs
    ;;
sacct)
    echo "Slurm accounting storage is disabled" >&2
    exit 1
    ;;
scontrol)
    cd_state
    [ "$2" = config ] && { echo "MaxArraySize            = ${MAX_ARRAY:-1001}"; exit 0; }
    sed -n "s/^$4 //p" jobs | while read -r job; do
        [ -e "$job.code" ] || continue
        code=$(cat "$job.code")
        state=COMPLETED; [ "$code" = 0 ] || state=FAILED
        case $job in *_*) ids="ArrayJobId=$4 ArrayTaskId=${job#*_}" ;; *) ids="" ;; esac
        echo "JobId=$4 $ids JobState=$state ExitCode=$code:0 RunTime=00:00:01 NodeList=here"
    done
    ;;
scancel)
    cd_state
    echo "$*" >>cancelled
    ;;
esac
