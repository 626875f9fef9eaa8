#!/usr/bin/env bash
# A SLURM of one node on this machine, for tests:
#
#   tests/slurm/one_node.sh start FOLDER     # then: source FOLDER/environment
#   tests/slurm/one_node.sh stop FOLDER
#
# Needs Debian's packages, and no root: apt-get install --no-install-recommends munge slurmctld slurmd slurm-client
# Ordinary processes: no systemd, no cgroups, no database. All they write is in FOLDER, which is made (keep its path
# short: a socket lies in it). The node claims more processors and memory than this machine may have, so that every
# rule's request fits, and one GPU, which is /dev/null. FOLDER/tasks.txt gets a line for each task that starts: job id
# and CUDA_VISIBLE_DEVICES. `scontrol show job` knows all else of a job, for an hour after its end.
set -Eeuo pipefail
export PATH=$PATH:/usr/sbin:/sbin

processors=32
memory_mb=128000

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Wait until a command succeeds, for 30 seconds.
wait_for() {
    local end=$((SECONDS + 30))
    while [ $SECONDS -lt $end ]; do
        if "$@" > /dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    echo "one_node.sh: waited in vain for: $*; see the logs in $folder" >&2
    return 1
}

# Start a program that stays in the foreground, and keep its process id.
launch() {
    setsid "$@" > "$folder/$1.out" 2>&1 < /dev/null &
    echo $! > "$folder/$1.pid"
}

# No such process, or only its exit status is left.
gone() { ! readlink "/proc/$1/exe"; }

write_configuration() {
    local host
    host=$(hostname -s)
    cat > "$folder/task_prolog" <<END
#!/bin/sh
echo "\$SLURM_JOB_ID \$CUDA_VISIBLE_DEVICES" >> "$folder/tasks.txt"
END
    chmod +x "$folder/task_prolog"
    echo "Name=gpu File=/dev/null" > "$folder/gres.conf"
    cat > "$folder/slurm.conf" <<END
ClusterName=one_node
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.own_pid
SlurmdPidFile=$folder/slurmd.own_pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog=$folder/task_prolog
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
KillWait=2
MinJobAge=3600
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$processors RealMemory=$memory_mb Gres=gpu:1
PartitionName=main Nodes=$host Default=YES State=UP
END
}

# Where the commands find this SLURM. Snakemake's jobstep plugin starts srun without SLURM_CONF, as clusters have
# their configuration in /etc; our srun gives it back.
write_environment() {
    cat > "$folder/environment" <<END
export SLURM_CONF="$folder/slurm.conf"
export PATH="$folder/bin:\$PATH"
END
    cat > "$folder/bin/srun" <<END
#!/bin/sh
SLURM_CONF="$folder/slurm.conf" exec $(command -v srun) "\$@"
END
    chmod +x "$folder/bin/srun"
}

start() {
    mkdir -p "$folder/state" "$folder/spool" "$folder/bin"
    chmod 755 "$folder"
    (umask 077 && head -c 1024 /dev/urandom > "$folder/munge.key")
    write_configuration
    write_environment
    export SLURM_CONF=$folder/slurm.conf
    launch munged --foreground --force --socket="$folder/munge.socket" --key-file="$folder/munge.key" \
        --pid-file="$folder/munge.own_pid" --log-file="$folder/munge.log" --seed-file="$folder/munge.seed"
    wait_for munge --no-input --socket="$folder/munge.socket"
    launch slurmctld -D
    wait_for scontrol ping
    launch slurmd -D
    wait_for sh -c "sinfo --noheader --format=%T | grep -qx idle"
}

stop() {
    export SLURM_CONF=$folder/slurm.conf
    if scontrol ping > /dev/null 2>&1; then
        scancel --partition=main || true
        wait_for sh -c 'test -z "$(squeue --noheader)"' || true
    fi
    for program in slurmd slurmctld munged; do
        if [ -f "$folder/$program.pid" ]; then
            pid=$(cat "$folder/$program.pid")
            kill "$pid" 2> /dev/null || true
            wait_for gone "$pid" || kill -9 "$pid"
            rm "$folder/$program.pid"
        fi
    done
}

folder=$(realpath -m "${2:?usage: one_node.sh start|stop FOLDER}")
case $1 in
    start) trap stop ERR; start ;;
    stop) stop ;;
    *) echo "usage: one_node.sh start|stop FOLDER" >&2; exit 2 ;;
esac
