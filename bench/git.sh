#!/usr/bin/env bash
# safe-git-push beside git push, and pvm's git beside git. Prints Markdown; the exit status is 1 when a
# limit is missed. Everything happens below a temporary directory.
# shellcheck disable=SC2016 # backquotes are Markdown here
set -euo pipefail
export LC_ALL=C
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    cat <<'HELP'
Usage: bench/git.sh [--binary FILE] [--rounds N] [--runs N]

  --binary FILE  the pvm to measure (default: the release build for musl)
  --rounds N     rounds, each with all commands in turn (default: 5)
  --runs N       runs of each command in a round (default: 60)

BENCH_DIR   where repositories and vault are put (default: /var/tmp); its file system is what is measured
HELP
}

fail() {
    printf 'bench/git.sh: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '  hint: %s\n' "$@" >&2
    exit 1
}

read_arguments() {
    rounds=5
    runs=60
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
        *) fail "unknown argument: $1" 'bench/git.sh --help lists the options' ;;
        esac
        shift
    done
    [ -x "$binary" ] || fail "no such program: $binary" \
        "cargo build --release --locked --target $(uname -m)-unknown-linux-musl"
    local tool
    for tool in hyperfine jq git; do
        command -v "$tool" >/dev/null || fail "missing: $tool" "apt-get install $tool"
    done
}

install_pvm() {
    "$root/install.sh" --prefix "$base/prefix" --binary "$binary" >/dev/null
    mkdir -p "$base/prefix/etc/pvm"
    cat >"$base/prefix/etc/pvm/pvm.toml" <<TOML
vault.path = "$base/vault/vault.db"
approver.unattended = true
TOML
    "$base/prefix/bin/pvm" init --yes >/dev/null
    guarded=$base/prefix/bin/safe-git-push
    as_git=$base/prefix/libexec/pvm/agent-bin/git
    real=$(command -v git)
}

# A repository with some history and the settings that people have.
make_repository() {
    local at=$1 number
    git init -q --bare "$at.git"
    git init -q -b main "$at"
    cd "$at"
    git config user.name Bench
    git config user.email bench@example.org
    git config push.default simple
    git config pull.rebase true
    git config rerere.enabled true
    git remote add origin "$at.git"
    mkdir src
    for number in {1..50}; do
        printf '%s\n' "$number" >"src/$number"
    done
    git add .
    git commit -q -m first
    git push -q -u origin main
}

# 200 remotes and 5,000 lines.
fill_configuration() {
    local number
    for number in {1..200}; do
        printf '[remote "r%s"]\n\turl = https://example.org/o/r%s.git\n' "$number" "$number"
        printf '\tfetch = +refs/heads/*:refs/remotes/r%s/*\n' "$number"
        for line in {1..22}; do
            printf '\tkey%s = value %s of remote %s\n' "$line" "$line" "$number"
        done
    done >>"$1/.git/config"
}

# Takes a name for the JSON files, what to do before each run, and pairs of a name and a command.
measure() {
    local file=$1 prepare=$2 round arguments=()
    shift 2
    while [ $# -gt 0 ]; do
        arguments+=(--command-name "$1" "$2")
        shift 2
    done
    for ((round = 1; round <= rounds; round++)); do
        hyperfine -N --style none --warmup 3 --runs "$runs" --ignore-failure \
            ${prepare:+--prepare "$prepare"} --export-json "$base/$file.$round.json" \
            "${arguments[@]}" >/dev/null 2>&1
    done
}

# The median of the rounds' medians, in milliseconds.
median() {
    jq -s --arg name "$2" '[.[].results[] | select(.command == $name).median] | sort
        | .[length / 2 | floor] * 1000' "$base/$1".*.json
}

calculate() {
    awk "BEGIN { printf \"%.2f\", $1 }"
}

missed=0
figure() {
    local what=$1 value=$2 limit=$3 unit=$4 word=met
    if awk "BEGIN { exit !($value > $limit) }"; then
        word=missed
        missed=1
    fi
    printf '| %s | %s%s | %s%s | %s |\n' "$what" "$value" "$unit" "$limit" "$unit" "$word"
}

read_arguments "$@"
base=$(mktemp -d "${BENCH_DIR:-/var/tmp}/pvm-bench.XXXXXX")
trap 'rm -rf "$base"' EXIT
export PATH=/usr/local/bin:/usr/bin:/bin
install_pvm
make_repository "$base/ordinary"
make_repository "$base/large"
fill_configuration "$base/large"

commit=$base/commit
cat >"$commit" <<'SH'
#!/bin/sh
date +%N >src/1
git commit -q -a -m next
SH
chmod +x "$commit"

cd "$base/ordinary"
measure push "$commit" 'git push' "$real push -q origin main" 'safe-git-push' "$guarded -q origin main"
[ "$(git rev-parse main)" = "$(git -C "$base/ordinary.git" rev-parse main)" ] || fail 'nothing was pushed'
measure pass '' 'git' "$real rev-parse HEAD" 'as git' "$as_git rev-parse HEAD"
measure small '' 'refused' "$guarded --force origin main"
cd "$base/large"
measure large '' 'refused' "$guarded --force origin main"
if "$guarded" --force origin main 2>/dev/null; then
    fail 'a forced push was not refused'
fi

git_push=$(median push 'git push')
safe_push=$(median push safe-git-push)
git_alone=$(median pass git)
git_passed=$(median pass 'as git')
small=$(median small refused)
large=$(median large refused)
printf 'method: hyperfine -N, %s rounds of %s runs a command, all commands in every round; the median of the rounds\n' "$rounds" "$runs"
printf 'medians. A new commit before each push, to a bare repository on the same file system.\n\n'
printf '| command | ms |\n|---|---|\n'
printf '| `git push` of one commit | %.2f |\n' "$git_push"
printf '| `safe-git-push` of one commit | %.2f |\n' "$safe_push"
printf '| `git rev-parse HEAD` | %.2f |\n' "$git_alone"
printf '| the same through pvm as `git` | %.2f |\n' "$git_passed"
printf '| `safe-git-push --force`, refused | %.2f |\n' "$small"
printf '| the same with 200 remotes and 5,000 lines of configuration | %.2f |\n\n' "$large"
printf '| figure | measured | limit | |\n|---|---|---|---|\n'
figure 'plain `safe-git-push`, times `git push`' "$(calculate "$safe_push / $git_push")" 1.10 x
figure 'another command through pvm as `git`, more than `git`' "$(calculate "$git_passed - $git_alone")" 1.00 ' ms'
figure 'refusal with 200 remotes and 5,000 lines, the whole process' "$(calculate "$large")" 15.00 ' ms'
exit "$missed"
