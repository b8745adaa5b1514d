# fish completion of weft: weft completion fish | source
function __weft_command
  set -l words (commandline -opc)
  switch "$words[2]"
    case policy
      string join ' ' $words[2..3]
    case '*'
      echo "$words[2]"
  end
end
function __weft_at
  test (__weft_command) = "$argv"
end
function __weft_names
  weft completion --names $argv[1] --prefix (commandline -ct) 2>/dev/null
end
complete -c weft -f
complete -c weft -n '__weft_at ""' -a 'status' -d 'Tell how the agent of this node is'
complete -c weft -n '__weft_at ""' -a 'services' -d 'List Services, or tell all about one: frontends, endpoints, connections'
complete -c weft -n '__weft_at ""' -a 'policy' -d 'Commands: check, pod'
complete -c weft -n '__weft_at ""' -a 'completion' -d 'Print what bash, zsh or fish completes the command line with'
complete -c weft -n '__weft_at "policy"' -a 'check' -d 'Tell what policies in files would allow, before they are applied'
complete -c weft -n '__weft_at "policy"' -a 'pod' -d 'Tell what policies allow and deny one pod'
complete -c weft -n '__weft_at "status"' -l output -d 'text or json [default: text]' -x -a 'text json'
complete -c weft -n '__weft_at "status"' -l json -d 'The same as --output json'
complete -c weft -n '__weft_at "status"' -l run-dir -d 'Where the agent is [default: $WEFT_RUN_DIR, else /run/weft]' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c weft -n '__weft_at "services"' -a '(__weft_names services)'
complete -c weft -n '__weft_at "services"' -l namespace -d 'Of this namespace alone [default: of all]' -x -a '(__weft_names namespaces)'
complete -c weft -n '__weft_at "services"' -l limit -d 'At most about so many [default: all]' -x
complete -c weft -n '__weft_at "services"' -l output -d 'text, wide or json [default: text]' -x -a 'text wide json'
complete -c weft -n '__weft_at "services"' -l watch -d 'Print it again whenever it differs'
complete -c weft -n '__weft_at "services"' -l interval -d 'How often --watch looks, from 500ms [default: 2s]' -x
complete -c weft -n '__weft_at "services"' -l run-dir -d 'Where the agent is [default: $WEFT_RUN_DIR, else /run/weft]' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c weft -n '__weft_at "policy check"' -l manifests -d 'Directory of YAML or JSON files with pods, namespaces, nodes, policies' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c weft -n '__weft_at "policy check"' -l probe -d 'A connection that should be allowed; may be given several times' -x
complete -c weft -n '__weft_at "policy check"' -l denied -d 'A connection that should be denied; may be given several times' -x
complete -c weft -n '__weft_at "policy check"' -l probes -d 'File of JSON lines with connections; - is standard input' -r -F
complete -c weft -n '__weft_at "policy check"' -l against -d 'Directory with the state before: print the verdicts that differ' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c weft -n '__weft_at "policy check"' -l matrix -d 'Print who may connect to each pod and port'
complete -c weft -n '__weft_at "policy check"' -l output -d 'text or json (one line each) [default: text]' -x -a 'text json'
complete -c weft -n '__weft_at "policy pod"' -a '(__weft_names pods)'
complete -c weft -n '__weft_at "policy pod"' -l output -d 'text or json [default: text]' -x -a 'text json'
complete -c weft -n '__weft_at "policy pod"' -l run-dir -d 'Where the agent is [default: $WEFT_RUN_DIR, else /run/weft]' -x -a '(__fish_complete_directories (commandline -ct))'
complete -c weft -n '__weft_at "completion"' -a 'bash zsh fish'
complete -c weft -n '__weft_at "completion"' -l names -d 'Names instead: pods, services, namespaces, nodes, addresses, parties' -x
complete -c weft -n '__weft_at "completion"' -l prefix -d 'Only those that begin so' -x
complete -c weft -n '__weft_at "completion"' -l run-dir -d 'Where the agent is [default: $WEFT_RUN_DIR, else /run/weft]' -x -a '(__fish_complete_directories (commandline -ct))'
