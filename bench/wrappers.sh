#!/usr/bin/env bash
# Whole-process comparison of the wrappers with bare commands, sudo and doas. Prints Markdown; the
# exit status is 1 when a limit is missed. Everything happens below a temporary directory, except that
# root gets an /etc/doas.conf for the time of the run where there is none.
# shellcheck disable=SC2016 # backquotes are Markdown here
set -euo pipefail
export LC_ALL=C
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    cat <<'HELP'
Usage: bench/wrappers.sh [--binary FILE] [--rounds N] [--runs N]

  --binary FILE  the pvm to measure (default: the release build for musl)
  --rounds N     rounds, each with all commands in turn (default: 5)
  --runs N       runs of each command in a round (default: 100)

BENCH_FILL  the program that fills a vault (default: examples/fill-vault beside the binary)
BENCH_DIR   where vaults and files are put (default: /var/tmp); its file system is what is measured
HELP
}

fail() {
    printf 'bench/wrappers.sh: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '  hint: %s\n' "$@" >&2
    exit 1
}

note() {
    printf '%s\n' "$*" >&2
}

read_arguments() {
    rounds=5
    runs=100
    binary=$root/target/$(uname -m)-unknown-linux-musl/release/pvm
    while [ $# -gt 0 ]; do
        case $1 in
        --help)
            usage
            exit
            ;;
        --binary | --rounds | --runs)
            [ $# -ge 2 ] || fail "$1 needs a value"
            declare -g "${1#--}=$2"
            shift
            ;;
        *) fail "unknown argument: $1" 'bench/wrappers.sh --help lists the options' ;;
        esac
        shift
    done
}

check_tools() {
    [ -x "$binary" ] || fail "no such program: $binary" \
        "cargo build --release --locked --target $(uname -m)-unknown-linux-musl"
    fill=${BENCH_FILL:-$(dirname "$binary")/examples/fill-vault}
    for tool in hyperfine jq /usr/bin/time; do
        command -v "$tool" >/dev/null || fail "missing: $tool" 'apt-get install hyperfine jq time'
    done
    hyperfine=$(command -v hyperfine)
}

clean_up() {
    [ -z "$own_doas_conf" ] || rm -f /etc/doas.conf
    rm -rf "$base"
}

make_prefix() {
    local prefix=$base/$1 landlock=$2
    "$root/install.sh" --prefix "$prefix" --binary "$binary" >/dev/null
    mkdir -p "$prefix/etc/pvm"
    cat >"$prefix/etc/pvm/pvm.toml" <<TOML
[vault]
path = "$prefix/vault/vault.db"

[exec]
landlock = "$landlock"

[approver]
unattended = true

# Every refusal is measured with its entry.
[permissions]
denials_per_minute = 100000
TOML
    "$prefix/bin/pvm" grant --scope "$scope" --ttl 8h --reason benchmark >/dev/null
}

# A command that does not do its work is fast: each has to remove a real file, or refuse to.
prove() {
    local name=$1 path
    for name in "$@"; do
        path=$base/$name/bin/safe-rm
        touch "$victim"
        "$path" "$victim" || fail "$path refused a granted file"
        [ ! -e "$victim" ] || fail "$path left the file in its place"
        if "$path" "$outside" 2>/dev/null || [ ! -e "$outside" ]; then
            fail "$path removed a file that was not granted"
        fi
    done
}

make_vaults() {
    mkdir "$scope" "${outside%/*}"
    touch "$outside"
    make_prefix small auto
    make_prefix unconfined off
    vaults=(small unconfined)
    if [ -x "$fill" ]; then
        make_prefix large auto
        vaults+=(large)
        note 'filling a vault with 100,000 grants and 1,000,000 entries'
        "$fill" "$base/large/vault/vault.db" grants=100000 entries=1000000 >&2
    else
        note "not measured with a large vault: no such program: $fill"
    fi
    prove "${vaults[@]}"
}

choose_commands() {
    # hyperfine takes the names from these, in step with the commands.
    names=('rm FILE' 'safe-rm FILE')
    commands=("rm $victim" "$base/small/bin/safe-rm $victim")
    refusal_names=('/bin/false' 'safe-rm OUTSIDE')
    refusals=(/bin/false "$base/small/bin/safe-rm $outside")
    if [ -x "$fill" ]; then
        names+=('safe-rm FILE, large vault')
        commands+=("$base/large/bin/safe-rm $victim")
        refusal_names+=('safe-rm OUTSIDE, large vault')
        refusals+=("$base/large/bin/safe-rm $outside")
    fi
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        names+=('sudo -n rm FILE')
        commands+=("sudo -n rm $victim")
    else
        note 'not measured: sudo is missing or asks for a password'
    fi
    if command -v doas >/dev/null; then
        if [ "$(id -u)" -eq 0 ] && [ ! -e /etc/doas.conf ]; then
            own_doas_conf=yes
            (umask 077 && echo 'permit nopass root' >/etc/doas.conf)
        fi
        if doas -n true 2>/dev/null; then
            names+=('doas -n rm FILE')
            commands+=("doas -n rm $victim")
        else
            note 'not measured: doas asks for a password or has no permission in /etc/doas.conf'
        fi
    else
        note 'not measured: doas is missing'
    fi
}

# Appends "name<TAB>seconds" for each command of one round. Odd rounds go backwards, so that a drift of the
# machine does not always favour the same command.
measure_round() {
    local round=$1 table=$2 flags=$3 i
    local -n row_names=$4 row_commands=$5
    local order=("${!row_names[@]}") list=()
    [ $((round % 2)) -eq 0 ] || mapfile -t order < <(printf '%s\n' "${order[@]}" | tac)
    for i in "${order[@]}"; do
        list+=(--command-name "${row_names[i]}" "${row_commands[i]}")
    done
    # shellcheck disable=SC2086
    "$hyperfine" -N $flags --style none --warmup 5 --runs "$runs" --prepare "touch $victim" \
        --export-json "$base/round.json" "${list[@]}" 2>>"$base/hyperfine.log" ||
        { cat "$base/hyperfine.log" >&2; fail 'hyperfine failed'; }
    jq -r '.results[] | [.command, .median] | @tsv' "$base/round.json" >>"$base/$table"
}

measure() {
    local round
    for ((round = 0; round < rounds; round++)); do
        note "round $((round + 1)) of $rounds"
        measure_round "$round" medians '' names commands
        measure_round "$round" medians -i refusal_names refusals
        jq -e 'all(.results[]; all(.exit_codes[]; . == 1))' "$base/round.json" >/dev/null ||
            fail 'a refusal did not exit with 1'
    done
}

write_make_tree() {
    make_tree=$base/make-tree
    cat >"$make_tree" <<SH
#!/usr/bin/env bash
mkdir -p $scope/tree/d{1..100}
cd $scope/tree
touch d{1..100}/f{1..100}
sync -f .
SH
    chmod +x "$make_tree"
}

measure_trees() {
    local pair row order
    note 'rm -rf of 10,000 files'
    local -A tree_commands=(
        [bare]="rm -rf $scope/tree"
        [confined]="$base/small/bin/safe-rm -rf $scope/tree"
        [unconfined]="$base/unconfined/bin/safe-rm -rf $scope/tree"
    )
    for ((pair = 0; pair < 15; pair++)); do
        order=(bare confined unconfined)
        [ $((pair % 2)) -eq 0 ] || order=(unconfined confined bare)
        for row in "${order[@]}"; do
            "$hyperfine" -N --style none --runs 1 --prepare "$make_tree" --export-json "$base/tree.json" \
                --command-name "$row" "${tree_commands[$row]}" 2>>"$base/hyperfine.log"
            [ ! -e "$scope/tree" ] || fail "rm -rf ($row) left files behind"
            jq -r '.results[] | [.command, .user + .system] | @tsv' "$base/tree.json" >>"$base/trees"
        done
    done
}

# Execve does not reset the peak, so the figure is the larger of the wrapper's and rm's own.
peak_memory() {
    local peak=0 run
    for run in {1..20}; do
        touch "$victim"
        /usr/bin/time -f %M -o "$base/peak" "$base/$1/bin/safe-rm" "$victim"
        run=$(cat "$base/peak")
        [ "$run" -le "$peak" ] || peak=$run
    done
    echo "$peak"
}

# 100 subshells wait at a gate, each with a file of its own. Once all have arrived, the gate opens and each takes the
# time around its one command. Prints seconds, one a line.
burst() {
    local remove=$1 dir=$base/burst i
    rm -rf "$dir"
    mkdir -p "$dir" "$scope/burst"
    mkfifo "$dir/gate" "$dir/arrivals"
    exec 8<>"$dir/gate" 9<>"$dir/arrivals"
    for i in {1..100}; do
        touch "$scope/burst/$i"
        (
            printf . >&9
            read -r _ <&8
            started=$EPOCHREALTIME
            status=0
            "$remove" "$scope/burst/$i" || status=$?
            printf '%s %s %s\n' "$status" "$started" "$EPOCHREALTIME" >"$dir/$i"
        ) &
    done
    read -r -N 100 -u 9
    printf '%*s' 100 '' | tr ' ' '\n' >&8
    wait
    exec 8>&- 9>&-
    [ -z "$(ls "$scope/burst")" ] || fail "of 100 $remove at once, some left their file"
    cat "$dir"/[0-9]* | awk '$1 != 0 { exit 1 } { print $3 - $2 }' || fail "of 100 $remove at once, some failed"
}

bursts() {
    local i
    for i in {1..5}; do
        burst "$1"
    done | sort -g
}

# Of sorted numbers on stdin, the one at the given fraction (nearest rank).
rank() {
    awk -v fraction="$1" '{ value[NR] = $1 } END { i = fraction * NR; i = i > int(i) ? int(i) + 1 : i; print value[i] }'
}

median_of() {
    awk -F '\t' -v name="$2" '$1 == name { print $2 }' "$base/$1" | sort -g | rank 0.5
}

calculate() {
    awk "BEGIN { printf \"$1\", $2 }"
}

print_machine() {
    echo "- machine: Linux $(uname -r), $(nproc) CPUs ($(awk -F ': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)), $(findmnt -n -o FSTYPE -T "$base"), uid $(id -u), $(date -u +%F)"
    local linkage=dynamic
    ldd "$binary" 2>&1 | grep -q 'statically linked\|not a dynamic executable' && linkage=static
    [[ $binary != *-musl/* ]] || linkage="$linkage, musl"
    echo "- pvm: $("$base/small/bin/pvm" --version), $linkage, $(calculate %.1f "$(stat -c %s "$binary") / 1e6") MB; vault and files on the same file system"
    echo "- method: hyperfine -N, $rounds rounds of $runs runs a command, all commands in every round; the median of the rounds' medians, in brackets the lowest and the highest of them. A fresh file before each run."
}

print_times() {
    echo '| command | ms | |'
    echo '|---|---|---|'
    local name
    for name in "${names[@]}" "${refusal_names[@]}"; do
        awk -F '\t' -v name="$name" '$1 == name { print $2 * 1000 }' "$base/medians" | sort -g >"$base/row"
        printf '| `%s` | %.2f | (%.2f-%.2f) |\n' "$name" "$(rank 0.5 <"$base/row")" "$(head -n 1 "$base/row")" "$(tail -n 1 "$base/row")"
    done
}

# figure, format, measured, limit
print_limit() {
    local verdict=met measured over
    measured=$(calculate %.6f "$3") || fail "not measured: $1"
    over=$(calculate %.6f "$measured - $4")
    if [[ $over != -* && $over != 0.000000 ]]; then
        verdict="missed by $(calculate "$2" "$over")"
        missed=1
    fi
    # shellcheck disable=SC2059
    printf "| %s | $2 | $2 | %s |\n" "$1" "$measured" "$4" "$verdict"
}

has_row() {
    grep -q "^$1	" "$base/medians"
}

print_limits() {
    local granted refused false_ms confined unconfined name peak
    granted=$(median_of medians 'safe-rm FILE')
    refused=$(median_of medians 'safe-rm OUTSIDE')
    false_ms=$(median_of medians /bin/false)
    confined=$(median_of trees confined)
    unconfined=$(median_of trees unconfined)
    echo '| figure | measured | limit | |'
    echo '|---|---|---|---|'
    ! has_row 'sudo -n rm FILE' ||
        print_limit 'granted `safe-rm FILE`, times `sudo -n rm FILE`' %.2fx "$granted / $(median_of medians 'sudo -n rm FILE')" 0.45
    ! has_row 'doas -n rm FILE' ||
        print_limit 'granted `safe-rm FILE`, times `doas -n rm FILE`' %.2fx "$granted / $(median_of medians 'doas -n rm FILE')" 0.6
    print_limit 'refusal, more than `/bin/false`' '%.2f ms' "($refused - $false_ms) * 1000" 1.2
    if [ -x "$fill" ]; then
        print_limit 'granted with 100,000 grants and 1,000,000 entries, times the small vault' %.2fx \
            "$(median_of medians 'safe-rm FILE, large vault') / $granted" 1.2
        print_limit 'refusal with 100,000 grants and 1,000,000 entries, times the small vault' %.2fx \
            "$(median_of medians 'safe-rm OUTSIDE, large vault') / $refused" 1.2
    fi
    print_limit '`safe-rm -rf` of 10,000 files in 100 directories: CPU with the ruleset, times without' %.2fx "$confined / $unconfined" 1.2
    for name in "${vaults[@]}"; do
        [ "$name" != unconfined ] || continue
        peak=$(peak_memory "$name")
        print_limit "peak memory of a granted \`safe-rm\`, $name vault" '%.1f MB' "$peak / 1024" 8
    done
    bursts "$base/small/bin/safe-rm" >"$base/wrapper-bursts"
    print_limit '100 `safe-rm` at once, p99' '%.0f ms' "$(rank 0.99 <"$base/wrapper-bursts") * 1000" 500
    bursts /usr/bin/rm >"$base/rm-bursts"
    cat <<TEXT

CPU of \`rm -rf\` on the same tree: bare $(calculate %.0f "$(median_of trees bare) * 1000") ms, wrapper without ruleset $(calculate %.0f "$unconfined * 1000") ms, with it $(calculate %.0f "$confined * 1000") ms
(user and system, medians of 15 runs each in turn). Peak memory: the largest of 20 runs, maximum resident set by GNU time; the
wrapper becomes \`rm\`, so it covers both. 100 at once: 5 bursts; 100 shells wait at a gate, then each takes the time around its one
command, start of the process included; median $(calculate %.0f "$(rank 0.5 <"$base/wrapper-bursts") * 1000") ms, and for bare \`rm\` in the same way p99 $(calculate %.0f "$(rank 0.99 <"$base/rm-bursts") * 1000") ms.
TEXT
}

read_arguments "$@"
check_tools
base=$(mktemp -d "${BENCH_DIR:-/var/tmp}/pvm-bench.XXXXXX")
own_doas_conf=
trap clean_up EXIT
[[ $base =~ ^[A-Za-z0-9._/-]+$ ]] || fail "hyperfine cannot take this path as it is: $base" 'set BENCH_DIR'
scope=$base/scope
victim=$scope/file
outside=$base/outside/file
make_vaults
choose_commands
# The same search for every command, and nobody's own directories in it.
PATH=/usr/bin:/bin
measure
write_make_tree
measure_trees
missed=0
print_machine
echo
print_times
echo
print_limits
[ "$missed" -eq 0 ]
