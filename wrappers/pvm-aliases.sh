# shellcheck shell=sh
# Source this in an agent's shell start-up where PATH cannot be changed. Aliases reach what is typed at or
# passed to this shell, not what scripts, xargs or find start: the links on PATH reach further.

# A bash that is not interactive ignores aliases otherwise.
# shellcheck disable=SC3044
[ -z "${BASH_VERSION:-}" ] || shopt -s expand_aliases

alias rm=safe-rm
alias trash=safe-trash
alias trash-put=safe-trash

# Only its push is guarded, which is for the link to tell. Where pvm is not installed, nothing runs.
unalias git 2>/dev/null || :
git() {
    "${PVM_PREFIX:-$HOME/.local}/libexec/pvm/agent-bin/git" "$@"
}
