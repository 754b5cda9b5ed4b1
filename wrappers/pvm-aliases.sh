# shellcheck shell=sh
# Source this in an agent's shell start-up where PATH cannot be changed. Aliases reach what is typed at or
# passed to this shell, not what scripts, xargs or find start: the rm link on PATH reaches further.

# A bash that is not interactive ignores aliases otherwise.
# shellcheck disable=SC3044
[ -z "${BASH_VERSION:-}" ] || shopt -s expand_aliases

alias rm=safe-rm
