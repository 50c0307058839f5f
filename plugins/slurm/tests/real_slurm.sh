#!/bin/bash
# A true Slurm on this host alone, for tests: two node daemons, accounting in a database of its own, all below one folder.
#
#   real_slurm.sh can          says why it cannot be set up here, in one line, and ends with 1; silent where it can
#   real_slurm.sh up FOLDER    installs what is missing, starts everything, waits until both nodes are idle
#   real_slurm.sh down FOLDER  cancels all jobs and stops what was started, by the ids of its processes
#
# Needs root and a Debian. Nothing of the host's own is used but the folder /etc/slurm, where slurm.conf is expected by
# the commands that a user types: the variable SLURM_CONF of FOLDER/environment points to the one below FOLDER.
set -Eeu
trap 'echo "real_slurm.sh failed in line $LINENO" >&2' ERR

programs="munged mariadbd mysqladmin mysql slurmdbd slurmctld slurmd sbatch srun sacct squeue scontrol"

missing() { for program in $programs; do command -v "$program" >/dev/null || echo "$program"; done; }

can() {
    [ "$(id -u)" = 0 ] || { echo "a true Slurm needs root to be set up"; return 1; }
    if [ -n "$(missing)" ] && ! command -v apt-get >/dev/null; then echo "Slurm is not installed, and there is no apt-get"; return 1; fi
    for name in slurmctld slurmd slurmdbd munged; do
        if pidof "$name" >/dev/null; then echo "$name runs here already, which is left alone"; return 1; fi
    done
}

install_it() {
    [ -n "$(missing)" ] || return 0
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge slurmdbd mariadb-server
} >&2

# a daemon that says by itself when it is ready would not need this
until_it() { for _ in $(seq 100); do timeout 5 "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; echo "waited in vain: $*" >&2; return 1; }

up() {
    local folder=$1 host held
    can >&2
    install_it || { echo "Slurm cannot be installed here" >&2; return 1; }
    host=$(hostname -s)
    mkdir -p "$folder"/{etc,log,run,state,spool/n1,spool/n2}
    # munge and the database run as users of their own, who have to reach their folders
    chmod 755 "$folder" "$folder"/{etc,log,run}
    install -d -o munge -g munge -m 0755 "$folder/munge"
    install -d -o mysql -g mysql -m 0755 "$folder/database"
    dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 status=none
    chown munge:munge "$folder/munge/key"; chmod 400 "$folder/munge/key"
    setpriv --reuid=munge --regid=munge --clear-groups munged --force --key-file="$folder/munge/key" \
        --socket="$folder/munge/socket" --pid-file="$folder/munge/munged.pid" --log-file="$folder/munge/log" \
        --seed-file="$folder/munge/seed"
    mariadb-install-db --user=mysql --datadir="$folder/database/data" --skip-test-db >"$folder/log/mariadb-install" 2>&1
    setpriv --reuid=mysql --regid=mysql --init-groups mariadbd --no-defaults --datadir="$folder/database/data" \
        --socket="$folder/database/socket" --pid-file="$folder/database/mariadbd.pid" --bind-address=127.0.0.1 --port=13306 --skip-name-resolve \
        --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 >"$folder/database/log" 2>&1 </dev/null &
    until_it mysqladmin --no-defaults --socket="$folder/database/socket" ping
    mysql --no-defaults --socket="$folder/database/socket" -e "CREATE DATABASE slurm_acct_db;
        CREATE USER 'slurm'@'127.0.0.1' IDENTIFIED BY 'slurmtest'; GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';"

    cat >"$folder/etc/slurmdbd.conf" <<END
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
DbdHost=localhost
DbdPort=16819
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=13306
StorageUser=slurm
StoragePass=slurmtest
StorageLoc=slurm_acct_db
PidFile=$folder/run/slurmdbd.pid
LogFile=$folder/log/slurmdbd.log
END
    chmod 600 "$folder/etc/slurmdbd.conf"
    # memory is held by control groups where they can be made here; else Slurm itself looks and ends what exceeds its own
    if mkdir /sys/fs/cgroup/memory/real-slurm-probe 2>/dev/null; then
        rmdir /sys/fs/cgroup/memory/real-slurm-probe
        held="TaskPlugin=task/cgroup"
        printf '%s\n' CgroupPlugin=cgroup/v1 CgroupMountpoint=/sys/fs/cgroup ConstrainRAMSpace=yes >"$folder/etc/cgroup.conf"
    else
        held="TaskPlugin=task/none
JobAcctGatherParams=OverMemoryKill"
    fi
    cat >"$folder/etc/slurm.conf" <<END
ClusterName=testcluster
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
SlurmctldPort=16817
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd-%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
$held
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=16819
AccountingStoragePass=$folder/munge/socket
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=1,sched_min_interval=0,bf_interval=1
MpiDefault=none
ReturnToService=2
KillWait=2
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=17001 CPUs=2 RealMemory=8000 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=17002 CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=debug Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
END
    echo "SLURM_CONF=$folder/etc/slurm.conf" >"$folder/environment"
    export SLURM_CONF="$folder/etc/slurm.conf"
    slurmdbd
    until_it sacctmgr -n list cluster
    sacctmgr -i add cluster testcluster >/dev/null
    slurmctld -c
    slurmd -N n1 -c
    slurmd -N n2 -c
    for _ in $(seq 100); do both_idle && return 0; sleep 0.1; done; echo "the nodes are not idle" >&2; return 1
}

both_idle() { [ "$(sinfo -h -o '%t %D')" = "idle 2" ]; }

down() {
    local folder=$1 file
    export SLURM_CONF="$folder/etc/slurm.conf"
    timeout 10 scancel -u root 2>/dev/null || true
    for _ in $(seq 50); do [ -z "$(timeout 5 squeue -h 2>/dev/null)" ] && break; sleep 0.2; done
    for file in "$folder"/run/slurmd-*.pid "$folder"/run/slurmctld.pid "$folder"/run/slurmdbd.pid; do stop "$file"; done
    stop "$folder/database/mariadbd.pid"
    stop "$folder/munge/munged.pid"
}

stop() {
    local id
    [ -f "$1" ] || return 0
    id=$(cat "$1")
    kill "$id" 2>/dev/null || return 0
    for _ in $(seq 100); do kill -0 "$id" 2>/dev/null || return 0; sleep 0.1; done
    kill -9 "$id" 2>/dev/null || true
}

case "${1-}" in
can) can ;;
up) up "$2" ;;
down) down "$2" ;;
*) sed -n '2,9p' "$0"; exit 2 ;;
esac
