# weir.bash - completes the words and options of weir(8) in bash.
# shellcheck shell=bash disable=SC2207 # words of ours have no blanks

_weir_ctl() { # WORDS AFTER "ctl"
    local word action= common='--admin --state-dir --token-file --ca -k --insecure --json --timeout --help'
    for word; do
        case $word in
        status | routes | upstreams | rollouts | rollout | split | shadow | reload | config | audit | events | incidents | drill | drills | export | import | hygiene | slos | drain) action=$word ;;
        versions | diff | restore) [ "$action" != config ] || action="config $word" ;;
        esac
    done
    case $action in
    '') echo "status routes upstreams rollouts rollout split shadow reload config audit events incidents drill drills export import hygiene slos drain $common" ;;
    config) echo "versions diff restore $common" ;;
    shadow) echo "diffs $common" ;;
    rollout) echo "plan start pause resume approve promote rollback abort wait --reason --for $common" ;;
    drill) echo "abort --reason --guardrail --fault --share --delay --step --rate --live --yes --last $common" ;;
    drills) echo "--state --limit $common" ;;
    split) echo "--reset --reason $common" ;;
    audit) echo "--verify --offline $common" ;;
    events) echo "--follow --kind --route --rollout --since $common" ;;
    reload | drain | 'config restore') echo "--reason $common" ;;
    *) echo "$common" ;;
    esac
}

_weir() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $previous in
    -c | --config | --token-file | --ca)
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$current"))
        return
        ;;
    --state-dir)
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -d -- "$current"))
        return
        ;;
    -X | --method)
        COMPREPLY=($(compgen -W 'GET HEAD POST PUT PATCH DELETE OPTIONS' -- "$current"))
        return
        ;;
    --story)
        COMPREPLY=($(compgen -W 'release none' -- "$current"))
        return
        ;;
    --state)
        COMPREPLY=($(compgen -W 'running passed failed aborted interrupted' -- "$current"))
        return
        ;;
    --step)
        COMPREPLY=($(compgen -W 'all' -- "$current"))
        return
        ;;
    --fault)
        COMPREPLY=($(compgen -W 'error connect latency event sample' -- "$current"))
        return
        ;;
    --for)
        [ "${COMP_WORDS[1]}" != ctl ] ||
            COMPREPLY=($(compgen -W 'pending running holding awaiting_approval awaiting_webhook paused baking succeeded rolling_back rolled_back failed' -- "$current"))
        return
        ;;
    import)
        if [ "${current:0:1}" != - ]; then
            compopt -o filenames 2>/dev/null
            COMPREPLY=($(compgen -f -- "$current"))
            return
        fi
        ;;
    --speed)
        COMPREPLY=($(compgen -W '1x 2x 0.5x 100/s max' -- "$current"))
        return
        ;;
    --workers | -H | --header | --from | --client-cn | --client-san | --at | --admin | --reason | --timeout | --port | --rate | --hold | --interval | --to | --concurrency | --limit | \
        --only | --ignore-header | --show | --filter | --min-coverage | --budget | --guardrail | --share | --delay)
        return
        ;;
    esac

    local words
    case ${COMP_CWORD}:${COMP_WORDS[1]} in
    1:*) words='run check explain schema reference demo top replay ctl script version --help --version' ;;
    *:run) words='-c --config --workers --state-dir --help' ;;
    *:check) words='-c --config --help' ;;
    *:explain) words='-c --config -X --method -H --header --from --client-cn --client-san --at --all --help' ;;
    *:top) words='--admin --state-dir --token-file --ca -k --insecure --once --interval --help' ;;
    *:demo) words='--port --rate --for --story --hold --help' ;;
    *:replay)
        words='--to --speed --concurrency --limit --only --unsafe-methods -H --header --ignore-header --show --timeout --ca --insecure --http2 --json --help'
        if [ "${current:0:1}" != - ]; then
            compopt -o filenames 2>/dev/null
            COMPREPLY=($(compgen -f -- "$current"))
            return
        fi
        ;;
    *:script)
        words='test --help'
        if [ "${COMP_WORDS[2]}" = test ] && [ "$COMP_CWORD" -gt 2 ]; then
            words='--filter --min-coverage --budget --timeout --json --help'
            if [ "${current:0:1}" != - ]; then
                compopt -o filenames 2>/dev/null
                COMPREPLY=($(compgen -f -- "$current"))
                return
            fi
        fi
        ;;
    *:ctl) words=$(_weir_ctl "${COMP_WORDS[@]:2:COMP_CWORD-2}") ;;
    *) words='--help' ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _weir weir
