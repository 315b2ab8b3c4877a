# Stands behind a program that starts others. It reads what there is on standard input, and when that ends, for
# whatever reason, nothing of it remains:
#
#   process PID SIGNAL     runs, and ends tidily on this signal
#   gone PID               has ended; the number may belong to somebody else from now on
#   directory PATH         to be removed
trap '' HUP INT QUIT TERM
processes=
while IFS=' ' read -r what subject signal; do
  case $what in
    process) processes="$processes $subject:$signal" ;;
    gone)
      others=
      for process in $processes; do
        [ "${process%:*}" = "$subject" ] || others="$others $process"
      done
      processes=$others ;;
    directory) set -- "$@" "$subject${signal:+ $signal}" ;;
  esac
done
for process in $processes; do kill -s "${process#*:}" "${process%:*}"; done
for process in $processes; do
  waited=0
  while kill -0 "${process%:*}" && [ $waited -lt 50 ]; do
    waited=$((waited + 1))
    sleep 0.1
  done
  kill -s KILL "${process%:*}"
done
for directory in "$@"; do rm -rf -- "$directory"; done
