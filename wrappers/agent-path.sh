# shellcheck shell=sh
# Source this in an agent's shell start-up. PVM_PREFIX is where pvm is installed.
pvm_prefix=${PVM_PREFIX:-$HOME/.local}

if [ -x "$pvm_prefix/bin/pvm" ]; then
    # An older place in PATH is given up: a directory prepended since then would win over the wrappers.
    pvm_path=:${PATH:+$PATH:}
    for pvm_directory in "$pvm_prefix/bin" "$pvm_prefix/libexec/pvm/agent-bin"; do
        while :; do
            case $pvm_path in
            *":$pvm_directory:"*)
                pvm_path=${pvm_path%%":$pvm_directory:"*}:${pvm_path#*":$pvm_directory:"}
                ;;
            *) break ;;
            esac
        done
        pvm_path=:$pvm_directory$pvm_path
    done
    pvm_path=${pvm_path#:}
    PATH=${pvm_path%:}
    export PATH
else
    printf '%s\n' "agent-path.sh: rm, git and trash are not guarded: there is no pvm in $pvm_prefix/bin" \
        '  hint: set PVM_PREFIX to the prefix given to install.sh' >&2
fi
unset pvm_prefix pvm_directory pvm_path
