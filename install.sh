#!/bin/sh
set -eu
umask 022
unset CDPATH

# Relative link targets: the tree stays valid when the prefix is moved or mounted elsewhere.
links='bin/safe-rm:pvm bin/safe-git-push:pvm bin/safe-trash:pvm libexec/pvm/agent-bin/rm:../../../bin/pvm libexec/pvm/agent-bin/git:../../../bin/pvm libexec/pvm/agent-bin/trash:../../../bin/pvm libexec/pvm/agent-bin/trash-put:../../../bin/pvm'
bash_completion=share/bash-completion/completions/pvm
zsh_completion=share/zsh/site-functions/_pvm
fish_completion=share/fish/vendor_completions.d/pvm.fish
manifest=share/pvm/manifest

usage() {
    cat <<'HELP'
Usage: ./install.sh [--prefix DIR | --system] [--binary FILE]
       ./install.sh [--prefix DIR | --system] --uninstall

Builds pvm and installs it with its links, man pages and shell completions.
No shell start-up file is touched.

  --prefix DIR   install below DIR (default: ~/.local)
  --system       install below /usr/local, owned by root
  --binary FILE  install FILE, a pvm that is built already
  --uninstall    remove what was installed; vault and configuration stay
  --help         show this text
HELP
}

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    shift
    for hint in "$@"; do
        printf '  hint: %s\n' "$hint" >&2
    done
    exit 1
}

usage_error() {
    printf 'install.sh: %s\n  hint: ./install.sh --help lists the options\n' "$1" >&2
    exit 2
}

read_arguments() {
    prefix='' system='' binary='' uninstall=''
    while [ $# -gt 0 ]; do
        case $1 in
        --prefix | --binary)
            [ -n "${2:-}" ] || usage_error "$1 needs a value"
            if [ "$1" = --prefix ]; then prefix=$2; else binary=$2; fi
            shift
            ;;
        --prefix=?*) prefix=${1#*=} ;;
        --binary=?*) binary=${1#*=} ;;
        --system) system=yes ;;
        --uninstall) uninstall=yes ;;
        --help | -h)
            usage
            exit 0
            ;;
        *) usage_error "unknown argument: $1" ;;
        esac
        shift
    done
    [ -z "$system" ] || [ -z "$prefix" ] || usage_error '--system and --prefix exclude each other'
    [ -z "$uninstall" ] || [ -z "$binary" ] || usage_error '--uninstall and --binary exclude each other'
}

# Lines of the manifest end at a newline, entries of PATH at a colon.
check_prefix_text() {
    case $1 in
    *:* | *'
'*) fail "the prefix contains a colon or a newline: $1" 'choose another directory' ;;
    esac
}

choose_prefix() {
    if [ -n "$system" ]; then
        [ "$(id -u)" -eq 0 ] || fail '--system needs root' \
            'build as yourself and install as root:  sudo ./install.sh --system --binary FILE'
        prefix=/usr/local
    elif [ -z "$prefix" ]; then
        [ -n "${HOME:-}" ] || fail 'HOME is not set, so there is no ~/.local' 'give a directory:  --prefix DIR'
        [ -z "$(find "$HOME" -prune ! -user "$(id -u)" 2>/dev/null)" ] || fail "$HOME belongs to somebody else" \
            'run this without sudo, or with --system or --prefix DIR'
        prefix=$HOME/.local
    fi
    check_prefix_text "$prefix"
    if [ -z "$uninstall" ]; then
        mkdir -p -- "$prefix" || fail "cannot create $prefix" 'choose another directory:  --prefix DIR'
    fi
    [ -d "$prefix" ] || fail "no such directory: $prefix"
    prefix=$(cd -P -- "$prefix" && pwd -P)
    check_prefix_text "$prefix"
    [ "$prefix" != / ] || fail 'the prefix cannot be /' 'choose another directory:  --prefix DIR'
}

# An entry is a path relative to the prefix; a directory's ends with a slash.
check_entry() {
    case /$1/ in
    //* | */../* | *[!A-Za-z0-9._/-]*) fail "$prefix/$manifest has an entry that no installation wrote: $1" \
        'nothing was changed; repair or remove that file' ;;
    esac
    existing=$prefix/$1
    until existing=${existing%/*} && [ -d "$existing" ]; do :; done
    case $(cd -P -- "$existing" && pwd -P)/ in
    "$prefix"/*) ;;
    *) fail "$existing is a link that leads outside $prefix" \
        'choose the directory it leads to, or another one:  --prefix DIR' ;;
    esac
}

# Whoever can write the manifest chooses what --uninstall removes with the caller's rights.
check_manifest() {
    check_entry "$manifest"
    if [ -L "$prefix/$manifest" ] || [ ! -f "$prefix/$manifest" ]; then
        fail "$prefix/$manifest is not a regular file" 'move it away and try again'
    fi
    [ -z "$(find "$prefix/$manifest" -prune ! -user "$(id -u)")" ] ||
        fail "$prefix/$manifest belongs to another user" 'run this as the user who installed pvm there'
    while IFS= read -r entry || [ -n "$entry" ]; do
        check_entry "$entry"
    done <"$prefix/$manifest"
}

is_installed() {
    [ -f "$prefix/$manifest" ] && grep -qxF -e "$1" -- "$prefix/$manifest"
}

list_pages() {
    for page in "$source"/man/*.[15]; do
        [ -f "$page" ] || fail "there are no man pages in $source/man" 'run install.sh from a complete source tree'
        printf '%s\n' "${page##*/}"
    done
}

list_entries() {
    printf '%s\n' bin/pvm "$bash_completion" "$zsh_completion" "$fish_completion"
    for link in $links; do
        printf '%s\n' "${link%%:*}"
    done
    for page in $pages; do
        printf 'share/man/man%s/%s\n' "${page##*.}" "$page"
    done
}

missing_directories() {
    for entry in "$manifest" $entries; do
        rest=$entry
        directory=
        while [ "$rest" != "${rest#*/}" ]; do
            directory=$directory${rest%%/*}/
            rest=${rest#*/}
            [ -d "$prefix/$directory" ] || printf '%s\n' "$directory"
        done
    done
}

refuse_foreign_files() {
    for entry in "$manifest" $entries; do
        check_entry "$entry"
        path=$prefix/$entry
        [ -e "$path" ] || [ -L "$path" ] || continue
        [ ! -d "$path" ] || fail "$path is a directory" 'move it away and try again'
        [ "$entry" != "$manifest" ] || continue
        if is_installed "$entry"; then
            case " $links" in *" $entry:"*) continue ;; esac
            [ ! -L "$path" ] || fail "$path has become a symbolic link" 'remove the link and try again'
        else
            fail "$path exists and was not installed by this script" \
                'move it away, or choose another directory:  --prefix DIR'
        fi
    done
}

find_tool() {
    command -v "$1" || {
        tool=${CARGO_HOME:-${HOME:-}/.cargo}/bin/$1
        [ -x "$tool" ] && printf '%s\n' "$tool"
    }
}

has_rust_target() {
    [ -d "$("$rustc" --print sysroot)/lib/rustlib/$1/lib" ]
}

# Static and without glibc starts fastest, and a wrapper starts once for every command.
choose_build() {
    host=$("$rustc" -vV | sed -n 's/^host: //p')
    musl=$(uname -m)-unknown-linux-musl
    if ! command -v musl-gcc >/dev/null; then
        reason='no musl-gcc (Debian: apt install musl-tools)'
    elif has_rust_target "$musl" || { rustup=$(find_tool rustup) && "$rustup" target add "$musl" >&2; }; then
        target=$musl rustflags='' kind='static (musl)'
        return
    else
        reason="the Rust target $musl is missing and could not be added"
    fi
    target=$host
    # A compiler that does not have the library prints the bare name back.
    if [ "${host%-gnu}" != "$host" ] && [ "$(cc -print-file-name=libc.a)" != libc.a ]; then
        rustflags='-C target-feature=+crt-static' kind="static (glibc); not musl: $reason"
    else
        rustflags='' kind="dynamic; not musl: $reason; not static glibc: no libc.a for $host"
    fi
}

build() {
    if ! { cargo=$(find_tool cargo) && rustc=$(find_tool rustc); }; then
        fail 'cargo was not found' 'install Rust first: https://rustup.rs' \
            'as root, install what was built before:  ./install.sh --system --binary FILE'
    fi
    command -v cc >/dev/null || fail 'a C compiler is needed (SQLite is built from source)' 'Debian:  apt install gcc libc6-dev'
    cd -- "$source"
    choose_build
    printf 'building pvm: %s\n' "$kind"
    # --target keeps RUSTFLAGS away from build scripts and procedural macros, which cannot be static.
    if [ -n "$rustflags" ]; then
        RUSTFLAGS="${RUSTFLAGS:-} $rustflags"
        export RUSTFLAGS
    fi
    case $musl in aarch64-*)
        export CC_aarch64_unknown_linux_musl="${CC_aarch64_unknown_linux_musl:-musl-gcc}" ;;
    esac
    "$cargo" build --release --locked --target "$target" || fail 'the build failed' \
        'an old compiler is updated by:  rustup update' \
        'another build can be installed:  ./install.sh --binary FILE'
    binary=$("$cargo" metadata --no-deps --format-version 1 --locked |
        sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/$target/release/pvm
    [ -f "$binary" ] || fail "the build left no $binary"
}

discard_staging() {
    rm -rf -- "$staging"
    [ -z "${pending:-}" ] || rm -f -- "$pending"
}

# A rename replaces the file in one step: an agent that is just starting finds the old or the new one.
put() {
    pending=${prefix:?}/${2%/*}/.${2##*/}.new
    rm -f -- "$pending"
    install -m "$3" -- "$1" "$pending"
    mv -f -- "$pending" "$prefix/$2"
    pending=
}

put_link() {
    pending=${prefix:?}/${1%/*}/.${1##*/}.new
    rm -f -- "$pending"
    ln -s -- "$2" "$pending"
    mv -f -- "$pending" "$prefix/$1"
    pending=
}

put_completion() {
    "$prefix/bin/pvm" completions "$1" >"$staging/completion" || fail "pvm completions $1 failed"
    put "$staging/completion" "$2" 644
}

write_manifest() {
    {
        [ ! -f "$prefix/$manifest" ] || sort -- "$prefix/$manifest"
        printf '%s\n' "$entries"
        missing_directories
    } | sort -u >"$staging/manifest"
    for directory in $(missing_directories | sort -u); do
        case $directory in
        share/pvm/) mkdir -m 700 -- "$prefix/$directory" ;; # below ~/.local it is the vault's directory, too
        *) mkdir -- "$prefix/$directory" ;;
        esac
    done
    put "$staging/manifest" "$manifest" 644
}

forget_stale_entries() {
    printf '%s\n' "$entries" >"$staging/entries"
    grep -v '/$' "$prefix/$manifest" | grep -vxFf "$staging/entries" >"$staging/stale" || return 0
    while IFS= read -r entry || [ -n "$entry" ]; do
        rm -f -- "${prefix:?}/$entry"
    done <"$staging/stale"
    grep -vxFf "$staging/stale" "$prefix/$manifest" >"$staging/manifest"
    put "$staging/manifest" "$manifest" 644
}

install_files() {
    staging=$(mktemp -d "$prefix/.pvm-install.XXXXXX") || fail "cannot write in $prefix"
    trap discard_staging EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM

    # Under its own name and not yet in its place: a binary that does not run replaces nothing.
    mkdir "$staging/bin"
    install -m 755 -- "$binary" "$staging/bin/pvm"
    version=$("$staging/bin/pvm" --version) || fail "$binary does not run on this machine"

    # First of all, so that an installation that was cut short can be repeated or removed.
    write_manifest
    put "$staging/bin/pvm" bin/pvm 755
    for link in $links; do
        put_link "${link%%:*}" "${link#*:}"
    done
    for page in $pages; do
        put "$source/man/$page" "share/man/man${page##*.}/$page" 644
    done
    put_completion bash "$bash_completion"
    put_completion zsh "$zsh_completion"
    put_completion fish "$fish_completion"
    forget_stale_entries
}

quoted() {
    printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"
}

print_result() {
    cat <<TEXT
installed $version in $prefix

An agent's environment needs this line (no start-up file was changed):
  export PATH=$(quoted "$prefix/libexec/pvm/agent-bin"):$(quoted "$prefix/bin"):"\$PATH"
Without its first directory, rm, git and trash stay the real ones and only the safe-* names are guarded.
Check it with:  $(quoted "$prefix/bin/pvm") doctor
TEXT
}

remove_files() {
    [ -e "$prefix/$manifest" ] || [ -L "$prefix/$manifest" ] ||
        fail "nothing to remove: $prefix/$manifest does not exist" \
            'if pvm is installed elsewhere, name the place:  --prefix DIR or --system'
    check_manifest
    while IFS= read -r entry || [ -n "$entry" ]; do
        case $entry in */) continue ;; esac
        path=${prefix:?}/$entry
        if [ -d "$path" ] && [ ! -L "$path" ]; then
            printf 'install.sh: left alone, it has become a directory: %s\n' "$path" >&2
        else
            rm -f -- "$path"
        fi
    done <"$prefix/$manifest"
    directories=$(grep '/$' "$prefix/$manifest" | sort -r)
    rm -f -- "${prefix:?}/$manifest"
    # Only what is empty goes: a directory may hold other programs' files by now, or the vault.
    for directory in $directories; do
        rmdir -- "$prefix/$directory" 2>/dev/null || :
    done
}

print_what_stays() {
    home=$(getent passwd "$(id -u)" 2>/dev/null | cut -d: -f6) || home=
    home=${home:-${HOME:-}}
    echo "removed pvm from $prefix"
    echo 'left alone:'
    for configuration in /etc/pvm/pvm.toml "$prefix/etc/pvm/pvm.toml" "$home/.config/pvm/pvm.toml"; do
        [ ! -e "$configuration" ] || echo "  configuration: $configuration"
    done
    echo "  vault and trail: where vault.path says, by default $home/.local/share/pvm/"
}

read_arguments "$@"
choose_prefix
if [ -n "$uninstall" ]; then
    remove_files
    print_what_stays
    exit
fi

source=$(cd -P -- "$(dirname -- "$0")" && pwd -P)
pages=$(list_pages)
entries=$(list_entries)
[ ! -e "$prefix/$manifest" ] || check_manifest
refuse_foreign_files
if [ -n "$binary" ]; then
    [ -f "$binary" ] || fail "no such file: $binary"
else
    build
fi
install_files
print_result
