# SPDX-License-Identifier: MIT
#
# fish completion for justalock, justalock-agent and justalock-server.

# Of the line before the cursor: the subcommand, how many words behind it are
# no option, and what --config and --socket say.
function __justalock_read
    set -g __justalock_command
    set -g __justalock_count 0
    set -g __justalock_config
    set -g __justalock_socket
    set -l words (commandline -opc)
    set -l takes
    for word in $words[2..]
        switch "$takes"
            case ''
            case --config
                set __justalock_config --config $word
                set takes
                continue
            case --socket
                set __justalock_socket --socket $word
                set takes
                continue
            case '*'
                set takes
                continue
        end
        switch $word
            case '--config=*'
                set __justalock_config $word
            case '--socket=*'
                set __justalock_socket $word
            case '-*=*' --
            case --config --socket --on-lost --for --url --wait --lifetime \
                    --conflict-exit-code --client-id --label --slots --slot -w -t -E -nw -nt -nE
                set takes $word
            case '-*'
            case '*'
                if test -z "$__justalock_command"
                    set __justalock_command $word
                else
                    set __justalock_count (math $__justalock_count + 1)
                    if test $__justalock_command = run -a $__justalock_count -ge 2
                        return
                    end
                end
        end
    end
end

# Is it one of these subcommands, with so many words behind it?
function __justalock_at # COUNT|any SUBCOMMAND...
    __justalock_read
    contains -- "$__justalock_command" $argv[2..]
    and begin
        test $argv[1] = any
        or test $argv[1] -eq $__justalock_count
    end
end

# The options of run belong before its lock's name.
function __justalock_in # SUBCOMMAND...
    __justalock_read
    contains -- "$__justalock_command" $argv
    and not test "$__justalock_command" = run -a $__justalock_count -ge 1
end

# Names of locks: what the configuration defines (templates have a "%"), and
# what this host's agent holds.
function __justalock_names # defined|command|held...
    __justalock_read
    for what in $argv
        switch $what
            case held
                timeout 2 justalock list --names $__justalock_socket
            case command
                timeout 2 justalock config locks --for command $__justalock_config
            case defined
                timeout 2 justalock config locks $__justalock_config
        end 2>/dev/null </dev/null
    end | string match -v '*%*' | sort -u
end

# The command that run starts, as if it stood alone.
function __justalock_subcommand
    set -l words (commandline -opc)
    set -l takes 0
    set -l names 0
    for i in (seq 3 (count $words))
        if test $takes = 1
            set takes 0
            continue
        end
        switch $words[$i]
            case --
                test $names = 0
                or break
            case '-*=*'
            case --config --socket --on-lost --url --wait --lifetime \
                    --conflict-exit-code --client-id --label --slots --slot -w -t -E -nw -nt -nE
                set takes 1
            case '-*'
            case '*'
                if test $names = 1
                    complete -C (string join ' ' -- (string escape -- $words[$i..]) (commandline -ct))
                    return
                end
                set names 1
        end
    end
    __fish_complete_command
end

function __justalock_signals
    printf '%s\n' kill log signal:{HUP,INT,QUIT,USR1,USR2,TERM,CONT,STOP}
end

complete -c justalock -f
complete -c justalock -n 'not __justalock_at any run' -l help -d 'say how it is called'
complete -c justalock -n 'not __justalock_at any run' -l version -d 'the version'
complete -c justalock -n '__justalock_in run' -l help -d 'say how it is called'
complete -c justalock -n '__justalock_in run' -l version -d 'the version'
for at in '__justalock_at any ""' '__justalock_at 0 help'
    complete -c justalock -n $at -a run -d 'run a command with a lock'
    complete -c justalock -n $at -a id -d "the lock's id on the wire"
    complete -c justalock -n $at -a status -d 'free, or held by whom since when'
    complete -c justalock -n $at -a list -d "what this host's agent holds"
    complete -c justalock -n $at -a release -d 'admin: break a lock'
    complete -c justalock -n $at -a config -d 'look for faults, show what is in effect'
    complete -c justalock -n $at -a help -d 'the texts of --help'
end

complete -c justalock -n '__justalock_in run' -s n -l nonblock -d 'try once'
complete -c justalock -n '__justalock_in run' -s w -l wait -x -d 'wait at most'
complete -c justalock -n '__justalock_in run' -s t -l lifetime -x -d 'the lease'
complete -c justalock -n '__justalock_in run' -l slots -x -d 'how many hold a pool at once'
complete -c justalock -n '__justalock_in run' -s E -l conflict-exit-code -x -d 'instead of 75'
complete -c justalock -n '__justalock_in run' -l on-lost -x -a '(__justalock_signals)' -d 'when the lock is lost'
complete -c justalock -n '__justalock_in run' -l client-id -x -d 'instead of a random one'
complete -c justalock -n '__justalock_in run' -l label -x -d 'how others see the holder'
complete -c justalock -n '__justalock_in run' -l no-agent -d 'do not ask the agent'
complete -c justalock -n '__justalock_in run status release' -l url -x -a 'unix: https:// http://' -d 'the service'
complete -c justalock -n '__justalock_in run id status release config' -l config -r -F -d 'read FILE'
complete -c justalock -n '__justalock_in run list config' -l socket -r -F -d "the agent's socket"
complete -c justalock -n '__justalock_in status list config' -l json -d JSON
complete -c justalock -n '__justalock_in list' -l names -d 'the names of the locks alone'
complete -c justalock -n '__justalock_in release' -l slot -x -d 'of a pool the holder of that one'
complete -c justalock -n '__justalock_in release' -s y -l yes -d 'do not ask'
complete -c justalock -n '__justalock_in config' -l for -x -a 'slurm pam command' -d 'locks of such work'

complete -c justalock -n '__justalock_at 0 run' -a '(__justalock_names command held)' -d lock
complete -c justalock -n '__justalock_at any id' -a '(__justalock_names defined)' -d lock
complete -c justalock -n '__justalock_at 0 status release' -a '(__justalock_names defined held)' -d lock
complete -c justalock -n '__justalock_at 0 config' -a check -d 'look for faults'
complete -c justalock -n '__justalock_at 0 config' -a show -d 'every key with the value in effect'
complete -c justalock -n '__justalock_at 0 config' -a locks -d 'the names that are defined'
complete -c justalock -n '__justalock_at any run; and test $__justalock_count -ge 1' -a '(__justalock_subcommand)'

complete -c justalock-agent -f
complete -c justalock-agent -l config -r -F -d 'read FILE'
complete -c justalock-agent -l socket -r -F -d 'where modules connect'
complete -c justalock-agent -l state -x -a '(__fish_complete_directories)' -d 'what outlives a restart'
complete -c justalock-agent -l keeper-user -x -a '(__fish_complete_users)' -d 'who talks to the network'
complete -c justalock-agent -l debug -d 'log more'
complete -c justalock-agent -l reload -d 'let the agent that runs read its configuration'
complete -c justalock-agent -l help -d 'say how it is called'
complete -c justalock-agent -l version -d 'the version'

complete -c justalock-server -f
complete -c justalock-server -l listen -x -a 'unix: 127.0.0.1: "[::1]:" tls:' -d 'where to listen'
complete -c justalock-server -l state -x -a '(__fish_complete_directories)' -d 'the state'
complete -c justalock-server -l tls-cert -r -F -d 'our certificate'
complete -c justalock-server -l tls-key -r -F -d 'its key'
complete -c justalock-server -l access -r -F -d 'who may do what over TLS'
complete -c justalock-server -l client-ca -r -F -d 'who vouches for clients'
complete -c justalock-server -l limit -x -a '{connections,waiters,held,released}{,-each}=' -d 'how much clients may use'
complete -c justalock-server -l etcd-ca -r -F -d 'who vouches for etcd'
complete -c justalock-server -l etcd-cert -r -F -d 'our certificate for etcd'
complete -c justalock-server -l etcd-key -r -F -d 'its key'
complete -c justalock-server -l etcd-user -r -F -d 'user and password for etcd'
complete -c justalock-server -l verbose -d 'log more'
complete -c justalock-server -l help -d 'say how it is called'
complete -c justalock-server -l version -d 'the version'
