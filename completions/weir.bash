# weir.bash - completes the words and options of weir(8) in bash.
# shellcheck shell=bash disable=SC2207 # words of ours have no blanks

_weir_ctl() { # WORDS AFTER "ctl"
    local word action=
    for word; do
        case $word in
        status | routes | upstreams | split | reload | config | hygiene | drain) action=$word ;;
        esac
    done
    case $action in
    '') echo 'status routes upstreams split reload config hygiene drain --admin --token-file --json --help' ;;
    config) echo 'versions diff restore --reason --json --help' ;;
    split) echo '--reset --reason --json --help' ;;
    reload | drain) echo '--reason --json --help' ;;
    *) echo '--json --help' ;;
    esac
}

_weir() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $previous in
    -c | --config | --token-file)
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$current"))
        return
        ;;
    --state-dir)
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -d -- "$current"))
        return
        ;;
    -X)
        COMPREPLY=($(compgen -W 'GET HEAD POST PUT PATCH DELETE OPTIONS' -- "$current"))
        return
        ;;
    --workers | -H | --from | --at | --admin | --reason)
        return
        ;;
    esac

    local words
    case ${COMP_CWORD}:${COMP_WORDS[1]} in
    1:*) words='run check explain schema reference demo ctl version --help --version' ;;
    *:run) words='-c --workers --state-dir --help' ;;
    *:check) words='-c --help' ;;
    *:explain) words='-c -X -H --from --at --help' ;;
    *:ctl) words=$(_weir_ctl "${COMP_WORDS[@]:2:COMP_CWORD-2}") ;;
    *) words='--help' ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _weir weir
