# Completes ship and ./ship in bash: eval "$(./ship completion bash)"
_ship() {
  local IFS=$'\n'
  local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
  # "=" separates words here, but not for ship: `scale app=` is complete.
  mapfile -t COMPREPLY < <("${COMP_WORDS[0]/#\~/$HOME}" completion words -- "${words[@]}" 2>/dev/null | cut -f1)
  if [ "${#COMPREPLY[@]}" -eq 1 ] && [ "${COMPREPLY[0]%=}" != "${COMPREPLY[0]}" ]; then
    compopt -o nospace
  fi
}
complete -o default -o nosort -F _ship ship
