#compdef weft
# zsh completion of weft: source <(weft completion zsh)
__weft_names() {
  local -a names
  names=(${(f)"$($words[1] completion --names $1 --prefix "$PREFIX" 2>/dev/null)"})
  compadd -a names
}
_weft() {
  local command=$words[2] prev=$words[CURRENT-1]
  local -a entries
  if (( CURRENT == 2 )); then
    entries=('status:Tell how the agent of this node is' 'services:List Services, or tell all about one: frontends, endpoints, connections' 'policy:Commands: check, pod' 'completion:Print what bash, zsh or fish completes the command line with')
    _describe command entries
    return
  fi
  case $command in
    (policy)
      if (( CURRENT == 3 )); then
        entries=('check:Tell what policies in files would allow, before they are applied' 'pod:Tell what policies allow and deny one pod')
        _describe command entries
        return
      fi
      command="policy $words[3]" ;;
  esac
  if [[ $PREFIX == --*=* ]]; then
    prev=${PREFIX%%=*}
    compset -P '*='
  fi
  case "$command $prev" in
    ('status --output') compadd 'text' 'json'; return ;;
    ('status --run-dir') _files -/; return ;;
    ('services --namespace') __weft_names namespaces; return ;;
    ('services --limit'|'services --interval') :; return ;;
    ('services --output') compadd 'text' 'wide' 'json'; return ;;
    ('services --run-dir') _files -/; return ;;
    ('policy check --manifests'|'policy check --against') _files -/; return ;;
    ('policy check --probe'|'policy check --denied') :; return ;;
    ('policy check --probes') _files; return ;;
    ('policy check --output') compadd 'text' 'json'; return ;;
    ('policy pod --output') compadd 'text' 'json'; return ;;
    ('policy pod --run-dir') _files -/; return ;;
    ('completion --names'|'completion --prefix') :; return ;;
    ('completion --run-dir') _files -/; return ;;
  esac
  case $command in
    ('status')
      entries=('--output:text or json [default: text]' '--json:The same as --output json' '--run-dir:Where the agent is [default: $WEFT_RUN_DIR, else /run/weft]') ;;
    ('services')
      if [[ $PREFIX != -* ]]; then __weft_names services; return; fi
      entries=('--namespace:Of this namespace alone [default: of all]' '--limit:At most about so many [default: all]' '--output:text, wide or json [default: text]' '--watch:Print it again whenever it differs' '--interval:How often --watch looks, from 500ms [default: 2s]' '--run-dir:Where the agent is [default: $WEFT_RUN_DIR, else /run/weft]') ;;
    ('policy check')
      entries=('--manifests:Directory of YAML or JSON files with pods, namespaces, nodes, policies' '--probe:A connection that should be allowed; may be given several times' '--denied:A connection that should be denied; may be given several times' '--probes:File of JSON lines with connections; - is standard input' '--against:Directory with the state before: print the verdicts that differ' '--matrix:Print who may connect to each pod and port' '--output:text or json (one line each) [default: text]') ;;
    ('policy pod')
      if [[ $PREFIX != -* ]]; then __weft_names pods; return; fi
      entries=('--output:text or json [default: text]' '--run-dir:Where the agent is [default: $WEFT_RUN_DIR, else /run/weft]') ;;
    ('completion')
      if [[ $PREFIX != -* ]]; then compadd 'bash' 'zsh' 'fish'; return; fi
      entries=('--names:Names instead: pods, services, namespaces, nodes, addresses, parties' '--prefix:Only those that begin so' '--run-dir:Where the agent is [default: $WEFT_RUN_DIR, else /run/weft]') ;;
  esac
  _describe flag entries
}
if [[ $funcstack[1] == _weft ]]; then _weft "$@"; else compdef _weft weft; fi
