#!/bin/sh
# Slurm on this machine, for real: an array of four tasks of tools/slurm/auto.sbatch over tars, one of which is stopped
# by the signal of its time limit and requeues itself, and one requeued from outside; the union of their results has
# the bytes of one run.
#
#   tests/slurm_test.sh build/release/bin/samc
#
# Needs Debian's slurm-wlm (22.05), whose daemons run on the loopback interface without munge, as this user; python3.
# Not part of CI: Slurm holds a requeued job back for two minutes.
set -eu
samc=$(realpath "$1")
here=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
user=$(id -un)
export SLURM_CONF="$folder/slurm.conf" SAMC="$samc"
cat >"$SLURM_CONF" <<END
ClusterName=samc
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort=26817
SlurmdPort=26818
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ReturnToService=2
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
KillWait=5
MinJobAge=600
NodeName=local NodeAddr=127.0.0.1 NodeHostname=$(hostname -s) CPUs=2 State=UNKNOWN
PartitionName=all Nodes=local Default=YES MaxTime=INFINITE State=UP
END
mkdir "$folder/state" "$folder/spool" "$folder/in"
daemons=""
finish() {
    for pid in $daemons; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' INT TERM
slurmctld -D & daemons="$daemons $!"
sleep 2
slurmd -D -N local & daemons="$daemons $!"

# Twelve tars of five pictures each.
(cd "$here/tests" && PYTHONDONTWRITEBYTECODE=1 python3 -c '
import sys
from archive_case import pack, picture
for shard in range(12):
    pictures = [picture(i) for i in range(5 * shard, 5 * shard + 5)]
    members = [(f"{5 * shard + i:06}.{end}", data) for i, (end, data) in enumerate(pictures)]
    pack(f"{sys.argv[1]}/in/{shard:05}.tar", members)
' "$folder")
options="--model $here/tests/data/golden/tiny.safetensors --points-per-side 2 --pred-iou-thresh 0 --format webdataset
    --stability-score-thresh 0 --batch-images 1"
# In their first lives tasks 0 and 2 get half of their second archive and then nothing.
cat >"$folder/give" <<END
#!/bin/sh
case "\${SLURM_ARRAY_TASK_ID:-}/\${SLURM_RESTART_COUNT:-0}/\$1" in
    0/0/00004.tar | 2/0/00006.tar) head -c 6000 "$folder/in/\$1"; sleep 1000 ;;
    *) exec cat "$folder/in/\$1" ;;
esac
END
chmod +x "$folder/give"
input="pipe:$folder/give {00000..00011}.tar"

job=$(cd "$folder" && sbatch --parsable --array=0-3%2 --time=10 "$here/tools/slurm/auto.sbatch" "$input" \
    -o "$folder/out" $options)
records() { wc -l <"$folder/out/.samc-$1-of-4/journal" 2>/dev/null || echo 0; }
patience=600
wait_for() { # what the test waits for, as a command
    while ! eval "$1"; do
        patience=$((patience - 1))
        if [ $patience -le 0 ]; then
            echo "slurm_test: waited too long for: $1" >&2
            squeue >&2
            cat "$folder"/samc-auto-*.log "$folder"/slurm*.log >&2
            exit 1
        fi
        sleep 1
    done
}
wait_for '[ "$(records 0)" -ge 8 ]'
before=$(records 0)
scancel --signal=USR1 --batch "${job}_0" 2>/dev/null & # what --signal=B:USR1@120 sends; it tries again, in vain, when
# the job has gone back to the queue
wait_for 'grep -q "stopped in time" "$folder/samc-auto-${job}_0.log"'
wait_for '[ "$(records 2)" -ge 8 ]'
scontrol requeue "${job}_2"
wait_for 'for task in 0 2; do scontrol update JobId=${job}_$task StartTime=now 2>/dev/null || true; done;
    [ -z "$(squeue -h)" ]'
for task in 0 1 2 3; do
    scontrol show job "${job}_$task" | grep -E "JobState|Restarts" | tr -s " \n" " "
    echo
done
scontrol show job "${job}_0" | grep -q "Restarts=1" && scontrol show job "${job}_2" | grep -q "Restarts=1"
[ "$(scontrol show job "$job" | grep -c "JobState=COMPLETED")" -eq 4 ]
[ "$(grep -c " done " "$folder/out/.samc-0-of-4/journal")" -eq 15 ] && [ "$before" -lt 18 ]

"$samc" auto "pipe:cat $folder/in/{00000..00011}.tar" -o "$folder/whole" $options -q >/dev/null
count=0
for tar in "$folder"/whole/*.tar; do
    cmp "$tar" "$folder/out/$(basename "$tar")"
    count=$((count + 1))
done
[ "$count" -eq 12 ] && [ "$(ls "$folder"/out/*.tar | wc -l)" -eq 12 ]
echo "slurm_test: 4 tasks, task 0 requeued by its signal after $before records, task 2 from outside;" \
    "12 archives are those of one run"
